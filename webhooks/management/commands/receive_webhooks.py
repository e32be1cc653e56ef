import json
import random
import re
import signal
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper

from webhooks.events import MAX_ENVELOPE_BYTES
from webhooks.signing import InvalidSignature, verify_standard, verify_wink

HOST = "127.0.0.1"
MAX_BODY_BYTES = 2 * MAX_ENVELOPE_BYTES
MAX_CONNECTIONS = 200
IDLE_SECONDS = 60
STATUS_PATH = re.compile(r"/status/([2-5]\d\d)")


class Command(BaseCommand):
    help = (
        "Receives webhooks on this machine: checks both signatures and prints what came. "
        "A request to /status/503 and the like gets that answer, whatever --status says."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", metavar="N", type=port, required=True, help="the port; 0 takes a free one")
        parser.add_argument("--secret", metavar="S", required=True, help="the signing secret, whsec_ included")
        parser.add_argument(
            "--status", metavar="N", type=http_status, default=200, help="the status of the answers (200)"
        )
        parser.add_argument(
            "--delay", metavar="S", type=seconds, default=0.0, help="the seconds before each answer (0)"
        )
        parser.add_argument(
            "--fail-rate", metavar="P", type=rate, default=0.0, help="the part of requests that gets a 500, 0 to 1 (0)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        answers = Answers(options["status"], options["delay"], options["fail_rate"])
        try:
            server = Receiver(options["port"], options["secret"], answers, Journal(self.stdout))
        except OSError as error:
            raise CommandError(f"The receiver cannot listen on port {options['port']}: {error.strerror}.") from error
        with server:
            self.stdout.write(f"Receiving webhooks on http://{HOST}:{server.server_port}/")
            self.stdout.flush()
            with ended_by_signals(server):
                server.serve_forever()
        self.stdout.write(f"{server.journal.count} requests came.")


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ArgumentTypeError(f"{text!r} is no port from 0 to 65535.")
    return int(text)


def http_status(text: str) -> int:
    if not re.fullmatch(r"[2-5]\d\d", text):
        raise ArgumentTypeError(f"{text!r} is no HTTP status from 200 to 599.")
    return int(text)


def seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 3600:
        raise ArgumentTypeError(f"{text!r} is not from 0 to 3600 seconds.")
    return value


def rate(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not from 0 to 1.")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no number.") from None


@contextmanager
def ended_by_signals(server: ThreadingHTTPServer) -> Iterator[None]:
    def end(signal_number: int, frame: object) -> None:
        # shutdown() waits for serve_forever(), which this handler interrupts: from here it would wait for ever.
        threading.Thread(target=server.shutdown).start()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Answers:
    """What the receiver answers where the path does not say it."""

    status: int
    delay: float
    fail_rate: float

    def status_for(self, path: str) -> int:
        if match := STATUS_PATH.fullmatch(path.partition("?")[0]):
            return int(match[1])
        return 500 if random.random() < self.fail_rate else self.status  # noqa: S311  no secret hangs on it


@dataclass
class Journal:
    """Prints a line a request, whole, whichever thread it came on."""

    out: OutputWrapper
    count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, line: str) -> None:
        with self._lock:
            self.count += 1
            self.out.write(line)
            self.out.flush()


class Receiver(ThreadingHTTPServer):
    daemon_threads = True
    # One that is ended in the middle of slow answers must not wait for them.
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, secret: str, answers: Answers, journal: Journal) -> None:
        self.secret = secret
        self.answers = answers
        self.journal = journal
        # A connection holds a thread and a body, so their number bounds the memory.
        self._free_connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((HOST, port), RequestHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free_connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a sender that hangs up; a receiver has nobody to tell."""


class RequestHandler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"
    server_version = "Winkhooks"
    sys_version = ""
    timeout = IDLE_SECONDS
    # Headers and body are two writes; without this the second waits for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        started_at = time_of_day()
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.refuse(411, "The request has no Content-Length.")
            return
        if int(length) > MAX_BODY_BYTES:
            self.refuse(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        status = self.server.answers.status_for(self.path)
        # Written before the answer is sent: who saw the answer finds the line.
        self.server.journal.write(self.describe(started_at, body, status))
        time.sleep(self.server.answers.delay)
        self.answer(status, b'{"received":true}' if status < 300 else b'{"received":false}')

    def do_GET(self) -> None:
        self.answer(200, b'{"listening":true}')

    def describe(self, started_at: str, body: bytes, status: int) -> str:
        headers = {name.lower(): value for name, value in self.headers.items()}
        event_type, event_id = envelope_names(body)
        return "  ".join(
            [
                started_at,
                event_type,
                event_id,
                f"attempt {printable(headers.get('wink-delivery-attempt', '?'), 10)}",
                f"Wink-Signature {verdict(verify_wink, self.server.secret, headers, body)}",
                f"webhook-signature {verdict(verify_standard, self.server.secret, headers, body)}",
                f"-> {status}",
            ]
        )

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status not in {204, 304}:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status not in {204, 304}:
            self.wfile.write(body)

    def refuse(self, status: int, sentence: str) -> None:
        """Answer a request whose body stays unread, so that the connection cannot be kept."""
        self.close_connection = True
        self.server.journal.write(f"{time_of_day()}  {sentence}  -> {status}")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Leave the printing to the journal."""


def time_of_day() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]


def envelope_names(body: bytes) -> tuple[str, str]:
    """Return the type and the id that the body says it has."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return "(no JSON)", "(no id)"
    if not isinstance(envelope, dict):
        return "(no envelope)", "(no id)"
    return printable(envelope.get("type", "(no type)"), 100), printable(envelope.get("id", "(no id)"), 64)


def printable(text: object, length: int) -> str:
    """Keep control characters of a sender off the terminal."""
    return "".join(character if character.isprintable() else "?" for character in str(text)[:length])


def verdict(verify: Callable[..., None], secret: str, headers: dict[str, str], body: bytes) -> str:
    try:
        verify(secret, headers, body)
    except InvalidSignature as error:
        return f"INVALID ({error})"
    return "valid"
