"""What is in the network of the tests: a name server, listeners on every address, and a tap that sees all packets.

`main` is the process that runs in the namespace and does there what the tests ask for; `tests.security.internet` starts
it.
"""

import contextlib
import ctypes
import logging
import os
import pickle
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv6Address, ip_address
from multiprocessing.connection import Connection
from pathlib import Path
from socketserver import TCPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import dnslib
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

# Public, so that not even a look-up goes to an address on the inside.
NAME_SERVER = "198.41.0.4"
FILES = {
    "/etc/resolv.conf": f"nameserver {NAME_SERVER}\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.20.30.40 database\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
}
# What the tests call, and what tends to listen on the inside; the tap sees who knocks at any other.
PORTS = (22, 25, 80, 443, 1024, 2375, 5432, 6379, 8000, 8080, 8443, 9200, 65535)
# Of a datagram of DNS.
MOST_BYTES = 512

# A name stands for addresses, for another name (an alias), or for both; None is never to answer.
Answer = Sequence[str] | None
Answers = Mapping[str, Sequence[Answer]]


class Visit(NamedTuple):
    """A packet that was to open a connection, or any that was sent without one; `path` is of a request that came."""

    host: str
    port: int
    path: str = ""


# Names


class NameServer(BaseResolver):
    """Answers for the names that it was told, with each answer in turn and the last one for good; never to be kept."""

    def __init__(self) -> None:
        self.answers: Answers = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        for tcp in (False, True):
            DNSServer(
                self, address=NAME_SERVER, port=53, tcp=tcp, handler=_NameHandler, logger=DNSLogger("error")
            ).start_thread()

    def resolve(self, request: Any, handler: Any) -> Any:
        name = str(request.q.qname).rstrip(".").lower()
        kind = dnslib.QTYPE[request.q.qtype]
        with self._lock:
            answers = self.answers.get(name, [()])
            answer = answers[min(self.asked[name, kind], len(answers) - 1)]
            self.asked[name, kind] += 1
        if answer is None:
            time.sleep(60)
        reply = request.reply()
        reply.add_answer(*self._records(str(request.q.qname), answer or (), kind))
        if not reply.rr and name not in self.answers:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        if handler.protocol == "udp" and len(reply.pack()) > MOST_BYTES:
            # The system asks for the rest over TCP.
            reply.header.tc = 1
            reply.rr = reply.rr[: MOST_BYTES // 64]
        return reply

    def _records(self, name: str, answer: Sequence[str], kind: str) -> list[Any]:
        records = []
        for value in answer:
            try:
                address = ip_address(value)
            except ValueError:
                records.append(dnslib.RR(name, dnslib.QTYPE.CNAME, ttl=0, rdata=dnslib.CNAME(value)))
                records += self._records(value, self.answers.get(value.lower(), [()])[-1] or (), kind)
                continue
            if address.version == (4 if kind == "A" else 6):
                rdata = getattr(dnslib, kind)(tuple(address.packed))
                records.append(dnslib.RR(name, getattr(dnslib.QTYPE, kind), ttl=0, rdata=rdata))
        return records


class _NameHandler(DNSHandler):
    def handle(self) -> None:
        if self.server.socket_type == socket.SOCK_DGRAM:
            super().handle()
            return
        self.protocol = "tcp"
        # One connection brings the questions for IPv4 and IPv6.
        with self.request.makefile("rb") as questions:
            while length := questions.read(2):
                reply = self.get_reply(questions.read(int.from_bytes(length)))
                self.request.sendall(len(reply).to_bytes(2) + reply)


# Who comes


class _Listener(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 256

    def server_bind(self) -> None:
        # The one socket takes IPv4 too.
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not that of HTTPServer, which looks its own name up.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that end before a request, as with TLS."""


class _Handler(BaseHTTPRequestHandler):
    """Notes the request and answers 204, or leads to `to` in the query."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        host, port, *_ = self.connection.getsockname()
        here().requests.append(Visit(plain(host), port, self.path))
        query = parse_qs(urlsplit(self.path).query)
        self.send_response(307 if "to" in query else 204)
        for location in query.get("to", ()):
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class Tap:
    """A copy of each packet in the network: to whom connections were begun or datagrams sent, whoever listens."""

    _ALL = 0x0003
    _IPV4 = 0x0800
    _UDP = 17
    # What Python has no names for.
    _ATTACH_FILTER, _RCVBUFFORCE = 26, 33
    _STATISTICS = (263, 6)
    # For the kernel, in the language of packet filters: what leaves (on loopback it arrives as well), of IPv4 and IPv6,
    # every datagram, and of TCP what has SYN without ACK. Code, where to jump if so and if not, and a number.
    _FILTER = (
        (0x28, 0, 0, 0xFFFFF004),  # the kind of packet
        (0x15, 0, 17, 4),
        (0x28, 0, 0, 0xFFFFF000),  # the protocol
        (0x15, 0, 7, 0x0800),
        (0x30, 0, 0, 9),
        (0x15, 12, 0, 17),
        (0x15, 0, 12, 6),
        (0xB1, 0, 0, 0),  # the length of the header of IPv4
        (0x50, 0, 0, 13),
        (0x54, 0, 0, 0x12),
        (0x15, 7, 8, 0x02),
        (0x15, 0, 7, 0x86DD),
        (0x30, 0, 0, 6),
        (0x15, 4, 0, 17),
        (0x15, 0, 4, 6),
        (0x30, 0, 0, 53),
        (0x54, 0, 0, 0x12),
        (0x15, 0, 1, 0x02),
        (0x06, 0, 0, 128),
        (0x06, 0, 0, 0),
    )

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._socket.setblocking(False)
        program = b"".join(struct.pack("HBBI", *step) for step in self._FILTER)
        steps = ctypes.create_string_buffer(program)
        self._socket.setsockopt(
            socket.SOL_SOCKET, self._ATTACH_FILTER, struct.pack("HP", len(self._FILTER), ctypes.addressof(steps))
        )
        # It holds all that a test sends: the kernel puts each packet in before it goes on.
        for option in (socket.SO_RCVBUF, self._RCVBUFFORCE):
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, 64 * 1024 * 1024)
        self._socket.bind(("lo", self._ALL))

    def visits(self) -> list[Visit]:
        """Return what has come since the last call, once each, but for what was sent to or by the name server."""
        found: dict[Visit, None] = {}
        while True:
            try:
                packet, (_, protocol, *_) = self._socket.recvfrom(128)
            except BlockingIOError:
                break
            if visit := self._visit(packet, protocol):
                found[visit] = None
        lost = struct.unpack("II", self._socket.getsockopt(*self._STATISTICS, 8))[1]
        assert not lost, f"{lost} packets were not seen."
        return list(found)

    def _visit(self, packet: bytes, protocol: int) -> Visit | None:
        host: IPv4Address | IPv6Address
        if protocol == self._IPV4:
            kind, host, rest = packet[9], IPv4Address(packet[16:20]), packet[(packet[0] & 0x0F) * 4 :]
        else:
            kind, host, rest = packet[6], IPv6Address(packet[24:40]), packet[40:]
        source, port = struct.unpack("!HH", rest[:4])
        if (str(host), port) == (NAME_SERVER, 53) or (kind == self._UDP and source == 53):
            return None
        return Visit(plain(str(host)), port)


def plain(host: str) -> str:
    """Return the IPv4 address where `host` is one in the notation of IPv6 sockets."""
    address = ip_address(host)
    return str(getattr(address, "ipv4_mapped", None) or address)


# The process


class Here:
    """All of it, once in the process."""

    def __init__(self) -> None:
        self.requests: list[Visit] = []
        self.tap = Tap()
        self.names = NameServer()
        for port in PORTS:
            threading.Thread(target=_Listener(("::", port), _Handler).serve_forever, daemon=True).start()


@cache
def here() -> Here:
    return Here()


def visits() -> list[Visit]:
    """Return who has been called since the last time: requests, and connections with which none came."""
    requests, here().requests = here().requests, []
    answered = {visit[:2] for visit in requests}
    return sorted({*requests, *(visit for visit in here().tap.visits() if visit[:2] not in answered)})


def answer_with(answers: Answers) -> None:
    """Let names stand for something else from now on."""
    here().names.answers = answers
    here().names.asked.clear()


def asked() -> dict[str, int]:
    """Return how often the name server was asked for each name, for IPv4 addresses."""
    return {name: count for (name, kind), count in here().names.asked.items() if kind == "A"}


def main() -> None:
    """Make the network, and do what comes through the descriptor that the command line names, until nobody is left."""
    channel = Connection(int(sys.argv[1]))
    _make_network()
    here()
    _set_django_up()
    channel.send_bytes(pickle.dumps((True, None)))
    while True:
        try:
            function, args, kwargs = pickle.loads(channel.recv_bytes())
        except EOFError:
            return
        try:
            result = True, function(*args, **kwargs)
        except Exception:
            result = False, traceback.format_exc()
        channel.send_bytes(pickle.dumps(result))


def _make_network() -> None:
    for command in (
        "ip link set lo up",
        # Every address is this machine's.
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    folder = Path(tempfile.mkdtemp())
    for path, text in FILES.items():
        if Path(path).exists():
            own = folder / Path(path).name
            own.write_text(text)
            subprocess.run(["mount", "--bind", own, path], check=True)
    assert Path("/etc/resolv.conf").read_text() == FILES["/etc/resolv.conf"]


def _set_django_up() -> None:
    import django
    from django.core.management import call_command
    from django.test.utils import override_settings, setup_test_environment

    os.environ["DJANGO_SETTINGS_MODULE"] = "winkhooks.settings"
    django.setup()
    setup_test_environment()
    override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]).enable()
    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0)
