"""A mail server on loopback that takes every e-mail and keeps it.

    with Mailbox() as mailbox:
        ...  # with EMAIL_URL=mailbox.url
        [email] = mailbox.wait_for(1)

Each connection has a thread; all end with the `with` block.
"""

import email.policy
import re
import socketserver
import threading
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType
from typing import Self, cast

ADDRESS = re.compile(rb"<([^>]*)>")


@dataclass(frozen=True)
class Mail:
    """An e-mail that was taken, and whom its sender named to the server."""

    to: tuple[str, ...]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"]).strip()

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())


class Mailbox:
    """Speaks as much SMTP as Django's backend needs, within its `with` block."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.mailbox = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1})
        self.url = f"smtp://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def mails(self) -> list[Mail]:
        with self._changed:
            return list(self._mails)

    def wait_for(self, count: int, seconds: float) -> list[Mail]:
        """Return the e-mails when `count` of them are there; fail when that takes longer than `seconds`."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self._mails) >= count, seconds)
            assert arrived, f"{len(self._mails)} of {count} e-mails came within {seconds:g} s."
            return list(self._mails)

    def take(self, recipients: list[str], content: bytes) -> None:
        message = email.message_from_bytes(content, policy=email.policy.SMTP)
        with self._changed:
            self._mails.append(Mail(tuple(recipients), message))
            self._changed.notify_all()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    mailbox: Mailbox


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 mailbox")
        recipients: list[str] = []
        for line in self.rfile:
            match line[:4].upper():
                case b"MAIL":
                    recipients = []
                    self._say("250 ok")
                case b"RCPT":
                    recipients += [address.decode() for address in ADDRESS.findall(line)]
                    self._say("250 ok")
                case b"DATA":
                    self._say("354 go on")
                    cast(_Server, self.server).mailbox.take(recipients, self._read_content())
                    self._say("250 taken")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case b"EHLO" | b"HELO" | b"RSET" | b"NOOP":
                    self._say("250 ok")
                case _:
                    self._say("502 not known here")

    def _read_content(self) -> bytes:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            # A line that begins with a dot is sent with one more.
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
