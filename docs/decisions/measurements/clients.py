"""Measure what libcurl and requests cost for a delivery, and whether they end in time.

`.venv/bin/python docs/decisions/measurements/clients.py` prints the processor time of this process for one request
with a body of about 700 bytes and the headers of a delivery, the best of three runs; then how long either waits, with a
limit of 2 s, for a receiver that answers one byte a second.
"""

import asyncio
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "winkhooks.settings",
    "ENV_FILE": os.devnull,
    "DEBUG": "True",
    "DATABASE_URL": "sqlite://:memory:",
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "WEBHOOK_REQUIRE_HTTPS": "False",
    "WEBHOOK_TIMEOUT_SECONDS": "2",
}

import django
import requests

django.setup()

from webhooks.engine.transport import Request, Transport, call  # noqa: E402
from webhooks.models.webhook import generate_secret  # noqa: E402
from webhooks.signing import sign  # noqa: E402

COUNT = 2000
IN_FLIGHT = 100
BODY = b'{"object":"%b"}' % (b"x" * 700)
HEADERS = [("Content-Type", "application/json"), *sign([generate_secret()], "x" * 36, BODY, 1_700_000_000)]
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        self.received = b""

    def data_received(self, received: bytes) -> None:
        self.received += received
        _, separator, body = self.received.partition(b"\r\n\r\n")
        # Requests come one after the other, and all have the same body.
        if separator and len(body) == len(BODY):
            self.received = b""
            self.transport.write(NO_CONTENT)


def fork_receiver() -> tuple[int, str]:
    """Start a receiver in a process of its own; return its id and its URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = os.fork()
    if not process:

        async def serve() -> None:
            server = await asyncio.get_running_loop().create_server(Receiver, sock=listening)
            await server.serve_forever()

        asyncio.run(serve())
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    listening.close()
    return process, url


def by_libcurl(url: str) -> None:
    transport: Transport[None] = Transport(IN_FLIGHT)
    sent = succeeded = 0
    while succeeded < COUNT:
        while transport.free and sent < COUNT:
            transport.start(Request(url, HEADERS, BODY), None)
            sent += 1
        for _, answer in transport.finished(0.02):
            assert answer.http_status == 204, answer
            succeeded += 1
    transport.close()


def by_requests_with_a_session(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(COUNT):
            session.post(url, data=BODY, headers=dict(HEADERS), timeout=10).raise_for_status()


def by_requests(url: str) -> None:
    for _ in range(COUNT):
        requests.post(url, data=BODY, headers=dict(HEADERS), timeout=10).raise_for_status()


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cost(send: Callable[[str], None], url: str) -> float:
    started = processor_seconds()
    send(url)
    return (processor_seconds() - started) / COUNT


def trickle(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            try:
                for byte in NO_CONTENT[:10]:
                    connection.sendall(bytes([byte]))
                    time.sleep(1)
                connection.sendall(NO_CONTENT[10:])
            except OSError:
                pass  # the sender hung up


def patience(send: Callable[[], object]) -> str:
    started = time.monotonic()
    result = send()
    return f"{result} after {time.monotonic() - started:.1f} s"


def main() -> None:
    process, url = fork_receiver()
    try:
        for send in (by_libcurl, by_requests_with_a_session, by_requests):
            best = min(cost(send, url) for _ in range(3))
            sys.stdout.write(f"{send.__name__}: {best * 1e6:.0f} µs\n")
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=trickle, args=[listening], daemon=True).start()
        slow_url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        answer = patience(lambda: call(Request(slow_url, [], b"{}")).error)
        sys.stdout.write(f"one byte a second, libcurl: {answer}\n")
        answer = patience(lambda: requests.post(slow_url, data=b"{}", timeout=2).status_code)
        sys.stdout.write(f"one byte a second, requests: {answer}\n")


if __name__ == "__main__":
    main()
