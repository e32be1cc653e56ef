import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from webhooks.management.commands.receive_webhooks import MAX_BODY_BYTES, Answers, Journal, Receiver
from webhooks.signing import sign

BASE_DIR = Path(__file__).resolve().parents[3]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT_ID = "01a20b9f-f090-77b8-96c7-f174edd918fa"
BODY = json.dumps({"id": EVENT_ID, "type": "booking.created"}).encode()


@contextmanager
def receiver(status: int = 200, delay: float = 0, fail_rate: float = 0) -> Iterator[tuple[Receiver, StringIO]]:
    out = StringIO()
    with Receiver(0, SECRET, Answers(status, delay, fail_rate), Journal(OutputWrapper(out))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server, out
        finally:
            server.shutdown()
            thread.join(5)


def signed_headers(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    return dict(sign([secret], EVENT_ID, body, int(time.time()))) | {"Wink-Delivery-Attempt": "3"}


def post(port: int, path: str = "/", body: bytes = BODY, headers: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, headers or signed_headers(body))
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_prints_what_came_with_both_verdicts() -> None:
    with receiver() as (server, out):
        assert post(server.server_port) == 200

    line = out.getvalue()
    assert f"  booking.created  {EVENT_ID}  attempt 3  Wink-Signature valid  webhook-signature valid  -> 200\n" in line
    assert server.journal.count == 1


def test_it_says_why_a_signature_does_not_hold() -> None:
    with receiver() as (server, out):
        post(server.server_port, headers=signed_headers(secret="whsec_" + "B" * 32))

    assert "Wink-Signature INVALID (No signature fits the body, the time and the secret.)" in out.getvalue()
    assert "webhook-signature INVALID (No signature fits the body, the time and the secret.)" in out.getvalue()


def test_it_says_so_where_there_is_no_signature() -> None:
    with receiver() as (server, out):
        post(server.server_port, headers={"Content-Type": "application/json"})

    assert out.getvalue().count("INVALID") == 2


@pytest.mark.parametrize("body", [b"\xff\x00", b"[1]", b"", b"[" * 100_000, b'{"type": {"a": 1}, "id": null}'])
def test_it_takes_any_body(body: bytes) -> None:
    with receiver() as (server, out):
        assert post(server.server_port, body=body) == 200

    assert "Wink-Signature valid" in out.getvalue()


def test_it_keeps_control_characters_off_the_terminal() -> None:
    with receiver() as (server, out):
        post(server.server_port, body=json.dumps({"type": "\x1b[2J\nfaked", "id": "1"}).encode())

    assert "?[2J?faked" in out.getvalue()
    assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize("status", [200, 204, 301, 404, 410, 429, 503])
def test_it_answers_the_status_in_the_path(status: int) -> None:
    with receiver(status=202) as (server, out):
        assert post(server.server_port, f"/status/{status}") == status

    assert out.getvalue().endswith(f"-> {status}\n")


def test_it_answers_the_status_asked_for() -> None:
    with receiver(status=418) as (server, _):
        assert post(server.server_port, "/status/999") == 418


@pytest.mark.parametrize("fail_rate, status", [(0.0, 200), (1.0, 500)])
def test_it_fails_at_the_rate_asked_for(fail_rate: float, status: int) -> None:
    with receiver(fail_rate=fail_rate) as (server, _):
        assert {post(server.server_port) for _ in range(5)} == {status}


def test_it_waits_before_the_answer() -> None:
    with receiver(delay=0.3) as (server, _):
        before = time.monotonic()
        post(server.server_port)

    assert time.monotonic() - before >= 0.3


def test_it_ends_although_an_answer_is_slow() -> None:
    with receiver(delay=60) as (server, out):
        with socket.create_connection(("127.0.0.1", server.server_port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            while not out.getvalue():
                time.sleep(0.01)
        before = time.monotonic()

    assert time.monotonic() - before < 5


def test_it_keeps_the_connection() -> None:
    with receiver() as (server, _):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        addresses = []
        for status in (200, 204, 503):
            connection.request("POST", f"/status/{status}", BODY, signed_headers())
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, answer.version) == (status, 11)
            addresses.append(connection.sock.getsockname())
        connection.close()

    assert len(set(addresses)) == 1


@pytest.mark.parametrize(
    "headers, status",
    [
        (f"Content-Length: {MAX_BODY_BYTES + 1}", 413),
        ("Transfer-Encoding: chunked", 411),
        ("Content-Length: -1", 411),
    ],
)
def test_it_reads_no_body_of_unknown_or_huge_length(headers: str, status: int) -> None:
    with receiver() as (server, out), socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode())
        answer = client.makefile("rb").read()

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"-> {status}" in out.getvalue()


def test_it_goes_on_after_a_sender_hangs_up() -> None:
    with receiver() as (server, out):
        with socket.create_connection(("127.0.0.1", server.server_port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert post(server.server_port) == 200

    assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "receive_webhooks", "--port", "0", "--secret", SECRET],
        cwd=BASE_DIR,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        greeting = process.stdout.readline().strip()
        assert greeting.startswith("Receiving webhooks on http://127.0.0.1:")
        assert post(int(greeting.rstrip("/").rpartition(":")[2])) == 200
        process.send_signal(number)
        out, error = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "webhook-signature valid" in out
    assert out.endswith("1 requests came.\n")
    assert error == ""


def test_it_says_that_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"The receiver cannot listen on port {port}: Address already in use."):
            call_command("receive_webhooks", port=port, secret=SECRET)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"--port": "70000"}, "'70000' is no port from 0 to 65535."),
        ({"--port": "http"}, "'http' is no port from 0 to 65535."),
        ({"--status": "100"}, "'100' is no HTTP status from 200 to 599."),
        ({"--delay": "-1"}, "'-1' is not from 0 to 3600 seconds."),
        ({"--delay": "nan"}, "'nan' is not from 0 to 3600 seconds."),
        ({"--fail-rate": "1.5"}, "'1.5' is not from 0 to 1."),
        ({"--fail-rate": "half"}, "'half' is no number."),
    ],
)
def test_it_says_what_is_wrong_with_an_option(options: dict[str, Any], sentence: str) -> None:
    arguments = {"--port": "0", "--secret": SECRET} | options

    with pytest.raises(CommandError, match=sentence):
        call_command("receive_webhooks", *(f"{name}={value}" for name, value in arguments.items()))
