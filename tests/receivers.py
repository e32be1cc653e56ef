"""Real receivers of webhooks on loopback, well-behaved and otherwise.

    with Receiver(status(500), status(204)) as receiver:
        ...  # the first request gets 500, each later one 204
        [first, second] = receiver.wait_for(2)

Each connection has a thread; all end with the `with` block.
"""

import contextlib
import datetime
import functools
import http.client
import ipaddress
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CONNECTIONS_AT_ONCE = 256
# A receiver that a test forgot to leave alone gives up then.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Received:
    """A request, whole; `at` is the moment of `time.monotonic` at which its last byte was there."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: float
    connection: int

    def header(self, name: str) -> str | None:
        """Return the header's value, in whatever case its name came; more than one value is an error."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        if len(values) > 1:
            raise ValueError(f"{name} came {len(values)} times.")
        return values[0] if values else None


class ConnectionEndedError(Exception):
    """The other side went away, or the receiver is being closed."""


class Connection:
    """What an answer works with: one connection, on which it reads the request and does what it likes."""

    def __init__(self, receiver: "Receiver", peer: socket.socket, number: int) -> None:
        self.receiver = receiver
        self.number = number
        self.socket = peer
        self._unread = b""

    def has_request(self) -> bool:
        """Wait for the first byte of a request; return False when the connection ends instead."""
        if not self._unread:
            self._unread = self._receive()
        return bool(self._unread)

    def read_request(self) -> Received:
        """Read the next request to its end and put it on record."""
        while b"\r\n\r\n" not in self._unread:
            self._read_more()
        head, self._unread = self._unread.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = tuple((name, value.strip()) for name, value in (line.split(":", 1) for line in lines))
        fields = {name.lower(): value for name, value in headers}
        if "transfer-encoding" in fields:
            raise ValueError("A webhook comes with its length.")
        if fields.get("expect") == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(fields.get("content-length", 0))
        while len(self._unread) < length:
            self._read_more()
        body, self._unread = self._unread[:length], self._unread[length:]
        request = Received(method, path, headers, body, time.monotonic(), self.number)
        self.receiver._record(request)
        return request

    def send(self, content: bytes) -> None:
        # Once the answer is on its way the sender may send its next request, before this thread comes to count.
        self.receiver._uncount(self)
        try:
            self.socket.sendall(content)
        except OSError as error:
            raise ConnectionEndedError from error

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the receiver is open."""
        if self.receiver._closing.wait(seconds):
            raise ConnectionEndedError

    def close(self) -> None:
        """Close in good order, so that what was sent arrives."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        raise ConnectionEndedError

    def reset(self) -> None:
        """Break the connection: the other side gets a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        raise ConnectionEndedError

    def _read_more(self) -> None:
        more = self._receive()
        if not more:
            raise ConnectionEndedError
        self._unread += more

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except OSError:
            return b""


Answer = Callable[[Connection], None]
"""Reads a request and answers it, or does neither. It may close the connection; if not, the next request may follow."""


class Receiver:
    """An HTTP server on a free port of loopback, open within its `with` block.

    The first request gets the first answer, and so on; the last answer stays for all that follow. Without any, each
    gets 204. `requests` has what came, in order; `most_at_once` says how many requests waited for answers at one time.
    """

    def __init__(self, *answers: Answer, host: str = "127.0.0.1", tls: bool | ssl.SSLContext = False) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.most_at_once = 0
        self._answers = list(answers or [status(204)])
        self._waiting: set[Connection] = set()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._free = threading.Semaphore(CONNECTIONS_AT_ONCE)
        self._open: dict[threading.Thread, socket.socket] = {}
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, 0), family=family, backlog=512)
        # Closing a socket does not wake up who waits in accept().
        self._server.settimeout(0.1)
        self.port: int = self._server.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}/webhook/wink"
        self._acceptor = threading.Thread(target=self._accept, name=f"receiver on {self.port}")

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._acceptor.join(5)
        self._server.close()
        with self._changed:
            threads = dict(self._open)
        for peer in threads.values():
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        alive = [thread.name for thread in (self._acceptor, *threads) if thread.is_alive()]
        assert not alive, f"These threads did not end: {alive}"

    def answer_with(self, *answers: Answer) -> None:
        """Answer the next requests so, whatever was said before."""
        with self._changed:
            self._answers = list(answers)

    def wait_for(self, count: int, seconds: float = 5) -> list[Received]:
        """Return the requests when `count` of them are there; fail when that takes longer than `seconds`."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.requests) >= count, seconds)
            assert arrived, f"{len(self.requests)} of {count} requests came within {seconds:g} s."
            return list(self.requests)

    def _record(self, request: Received) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _accept(self) -> None:
        while not self._closing.is_set():
            if not self._free.acquire(timeout=0.1):
                continue
            try:
                peer, _ = self._server.accept()
            except TimeoutError:
                self._free.release()
                continue
            peer.settimeout(PATIENCE_SECONDS)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections += 1
                number = self.connections
                thread = threading.Thread(target=self._serve, args=(peer, number), name=f"connection {number}")
                self._open[thread] = peer
            thread.start()

    def _serve(self, peer: socket.socket, number: int) -> None:
        try:
            with contextlib.suppress(ConnectionEndedError), self._secured(peer) as channel:
                connection = Connection(self, channel, number)
                while connection.has_request():
                    with self._counted(connection):
                        self._next_answer()(connection)
        finally:
            peer.close()
            with self._changed:
                self._open.pop(threading.current_thread(), None)
            self._free.release()

    @contextlib.contextmanager
    def _secured(self, peer: socket.socket) -> Iterator[socket.socket]:
        if not self._tls:
            yield peer
            return
        try:
            context = self._tls if isinstance(self._tls, ssl.SSLContext) else _tls_context()
            secured = context.wrap_socket(peer, server_side=True)
        except OSError as error:
            raise ConnectionEndedError from error
        with self._changed:
            self._open[threading.current_thread()] = secured
        with secured:
            yield secured

    @contextlib.contextmanager
    def _counted(self, connection: Connection) -> Iterator[None]:
        with self._changed:
            self._waiting.add(connection)
            self.most_at_once = max(self.most_at_once, len(self._waiting))
        try:
            yield
        finally:
            self._uncount(connection)

    def _uncount(self, connection: Connection) -> None:
        with self._changed:
            self._waiting.discard(connection)

    def _next_answer(self) -> Answer:
        with self._changed:
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@contextlib.contextmanager
def closed_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Yield a port on which nothing listens, kept so that nothing else takes it."""
    with socket.socket() as unused:
        unused.bind((host, 0))
        port: int = unused.getsockname()[1]
        yield port


@functools.cache
def self_signed_certificate() -> tuple[str, str]:
    """Return a certificate for loopback that nobody has reason to trust, and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    loopback = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@functools.cache
def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("".join(self_signed_certificate()))
        file.flush()
        context.load_cert_chain(file.name)
    return context


# Answers


def head(code: int, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the status line and the headers, with the empty line after them."""
    phrase = http.client.responses.get(code, "Unknown")
    lines = [f"HTTP/1.1 {code} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def status(code: int, *, headers: Sequence[tuple[str, str]] = (), body: bytes = b"", delay: float = 0) -> Answer:
    """Answer whole, after `delay` seconds; the connection stays open."""
    # 204 and 304 have no body and so no length.
    length = [] if code in (204, 304) else [("Content-Length", str(len(body)))]

    def answer(connection: Connection) -> None:
        connection.read_request()
        connection.wait(delay)
        connection.send(head(code, [*headers, *length]) + body)

    return answer


def retry_after(when: int | datetime.datetime) -> tuple[str, str]:
    """Return the header in one of its two forms: seconds, or a date (in UTC)."""
    return "Retry-After", str(when) if isinstance(when, int) else format_datetime(when, usegmt=True)


def redirect(location: str, code: int = 302) -> Answer:
    return status(code, headers=[("Location", location)])


def streamed(size: int, code: int = 200) -> Answer:
    """Answer with a body of `size` bytes, as fast as they are taken."""
    block = b"x" * 65536

    def answer(connection: Connection) -> None:
        connection.read_request()
        connection.send(head(code, [("Content-Length", str(size))]))
        left = size
        while left:
            connection.send(block[:left])
            left -= min(left, len(block))

    return answer


def hang(connection: Connection) -> None:
    """Read the request and say nothing."""
    connection.read_request()
    connection.wait(PATIENCE_SECONDS)


def trickle_headers(connection: Connection) -> None:
    """Send one byte of an endless header a second."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(PATIENCE_SECONDS):
        connection.send(b"x")
        connection.wait(1)


def trickle_body(connection: Connection) -> None:
    """Send the headers, and one byte of the body a second."""
    connection.read_request()
    connection.send(head(200, [("Content-Length", str(PATIENCE_SECONDS))]))
    for _ in range(PATIENCE_SECONDS):
        connection.send(b"x")
        connection.wait(1)


def reset_before_reading(connection: Connection) -> None:
    connection.reset()


def reset_after_reading(connection: Connection) -> None:
    connection.read_request()
    connection.reset()


def close_without_answer(connection: Connection) -> None:
    connection.read_request()
    connection.close()


def close_within_body(connection: Connection) -> None:
    """Promise a body and break off in the middle of it."""
    connection.read_request()
    connection.send(head(200, [("Content-Length", "100")]) + b"x" * 50)
    connection.close()


def not_http(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.close()


def huge_headers(size: int, code: int = 200) -> Answer:
    """Answer with headers of `size` bytes in all, 1,000 bytes each."""
    return status(code, headers=[(f"X-Filler-{number}", "x" * 1000) for number in range(size // 1000)])


def tunnel(connection: Connection) -> None:
    """Do what a proxy does with CONNECT: connect to where it says, and pass on what either side sends."""
    request = connection.read_request()
    host, _, port = request.path.rpartition(":")
    try:
        there = socket.create_connection((host.strip("[]"), int(port)), PATIENCE_SECONDS)
    except OSError:
        connection.send(head(502))
        connection.close()
    with there:
        connection.send(b"HTTP/1.1 200 Connection established\r\nX-Proxy: tests\r\n\r\n")
        back = threading.Thread(target=_pass_on, args=(there, connection.socket))
        back.start()
        _pass_on(connection.socket, there)
        back.join()
    connection.close()


def _pass_on(here: socket.socket, there: socket.socket) -> None:
    """Pass on what comes from `here`, and its end."""
    with contextlib.suppress(OSError):
        while content := here.recv(65536):
            there.sendall(content)
    with contextlib.suppress(OSError):
        there.shutdown(socket.SHUT_WR)
