"""The one door to users' URLs: many POSTs at a time, over libcurl.

A request goes to the address that `guard` allows at the moment of connecting, is never redirected, and ends within
WEBHOOK_TIMEOUT_SECONDS, name look-up, connecting, TLS, headers and body together.

libcurl looks up no name: it is given the addresses that `names` found, all of which `guard` has allowed.

With WEBHOOK_PROXY it connects to that proxy alone, and has it connect to one of these addresses, never to a name: so
the decision stays with `guard`, whatever the proxy would find the name to stand for.
"""

import ipaddress
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

import certifi
import pycurl
import structlog
from django.conf import settings

from webhooks.engine import guard, names
from webhooks.models import Attempt
from webhooks.readable import visible

Tag = TypeVar("Tag")

logger = structlog.get_logger(__name__)

CA_FILE = certifi.where()
USER_AGENT = "Winkhooks/1.0"
MAX_SNIPPET_BYTES = 4096
MAX_HEADER_BYTES = 16 * 1024
# More headers than these, interim answers and all, are not taken: the connection is dropped.
MOST_HEADER_BYTES = 64 * 1024
# Larger ones are not kept once they are read.
MOST_KEPT_BYTES = 2048
# The second is a limit of libcurl.
TOO_MANY_HEADERS = (
    "The answer has more than 64 KB of headers, so the connection was dropped.",
    "The answer has more than 5,000 headers, so the connection was dropped.",
)

# What went wrong at the proxy, and not at the receiver. Its own words would tell people where it is.
PROXY_FAILED = "The proxy of the portal could not be reached, or broke off."
PROXY_REFUSED = "The proxy of the portal refused to connect to the receiver."
PROXY_REACHED_NOBODY = "The proxy of the portal could not connect to the receiver."
# With these the proxy says that it tried.
_TRIED_IN_VAIN = {502, 503, 504}
# CURLOPT_SUPPRESS_CONNECT_HEADERS, of which pycurl has no name: what the proxy answers is not of the receiver.
_SUPPRESS_CONNECT_HEADERS = 265

LOOK_UP_SECONDS = 5.0
# A name is looked up again each minute, and where it has moved its old address is called no longer than this.
CONNECTION_SECONDS = 300
# So long what a name stands for is kept in libcurl: longer than `names` keeps it, so that it is there when it is used.
PIN_SECONDS = 2 * int(names.KEEP_SECONDS)

# More headers than libcurl holds: CURLE_TOO_LARGE, of which pycurl has no name.
TOO_LARGE = 100
ERROR_BY_CURL_CODE = {
    pycurl.E_OPERATION_TIMEDOUT: Attempt.Error.TIMEOUT,
    pycurl.E_COULDNT_RESOLVE_HOST: Attempt.Error.NAME,
    pycurl.E_COULDNT_CONNECT: Attempt.Error.CONNECT,
    pycurl.E_SSL_CONNECT_ERROR: Attempt.Error.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Attempt.Error.TLS,
    pycurl.E_SSL_CERTPROBLEM: Attempt.Error.TLS,
    pycurl.E_SSL_CIPHER: Attempt.Error.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Attempt.Error.TLS,
    pycurl.E_SSL_ISSUER_ERROR: Attempt.Error.TLS,
    pycurl.E_URL_MALFORMAT: Attempt.Error.REQUEST,
    pycurl.E_UNSUPPORTED_PROTOCOL: Attempt.Error.PROTOCOL,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Attempt.Error.PROTOCOL,  # for HTTP too
    pycurl.E_HTTP2: Attempt.Error.PROTOCOL,
    pycurl.E_BAD_CONTENT_ENCODING: Attempt.Error.PROTOCOL,  # a transfer encoding that nobody asked for
    TOO_LARGE: Attempt.Error.PROTOCOL,
}


class ProxyNotFoundError(Exception):
    """The name of the proxy stands for nothing, or could not be looked up in time."""


class Pin(NamedTuple):
    """The addresses that libcurl has for a host, and until when, in seconds of the monotonic clock."""

    addresses: names.Addresses
    until: float


NO_PIN = Pin((), 0.0)


class Proxy(NamedTuple):
    """The proxy of WEBHOOK_PROXY."""

    url: str
    host: str
    port: int
    is_address: bool


class Request(NamedTuple):
    url: str
    headers: list[tuple[str, str]]
    body: bytes


class Phases(NamedTuple):
    """Where the time of a request went, in ms, one phase after the other; None for a phase that did not come about.

    The phase in which a request failed lasted until then. What the duration has more went into the rest of the answer.
    """

    lookup_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    wait_ms: int | None = None


NO_PHASES = Phases()


class Answer(NamedTuple):
    """What came of a request: an HTTP status where it completed, else an error."""

    started_at: datetime
    duration_ms: int
    phases: Phases = NO_PHASES
    http_status: int | None = None
    error: str = ""
    error_text: str = ""
    remote_address: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    snippet: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the value of the header `name`, given in lower case; the last one where there are several."""
        return next((value for key, value in reversed(self.headers) if key.lower() == name), None)


def _final_headers(block: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers of the last answer in `block`, the first 16 KB; those before it were interim, as 103 is."""
    headers: list[tuple[str, str]] = []
    size = 0
    for line in block.split(b"\n"):
        if line.startswith(b"HTTP/"):
            headers, size = [], 0
            continue
        size += len(line) + 1
        name, separator, value = line.decode("latin-1").partition(":")
        if separator and size <= MAX_HEADER_BYTES:
            headers.append((name.strip(), value.strip()))
    return tuple(headers)


# Many receivers answer many requests alike within a second.
_kept_final_headers = lru_cache(maxsize=128)(_final_headers)


class _DuplicatedSocket(socket.socket):
    """A socket for libcurl: pycurl duplicates its descriptor, so that this one is done with when it is dropped."""

    def __del__(self) -> None:
        self.close()


@lru_cache(maxsize=8)
def _proxy_at(url: str) -> Proxy | None:
    if not url:
        return None
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    host, is_address = parts.hostname, _is_address(parts.hostname)
    if is_address:
        # In the one spelling under which libcurl looks for what is pinned, and in which `_open_socket` gets it.
        host = str(socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)[0][4][0])
    return Proxy(url, host, parts.port, is_address)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _protocols() -> int:
    https: int = pycurl.PROTO_HTTPS
    return https if settings.WEBHOOK_REQUIRE_HTTPS else https | pycurl.PROTO_HTTP


class _Transfer(Generic[Tag]):
    """A libcurl handle that is used again and again, and what its present request has received."""

    def __init__(self, pins: dict[tuple[str, int], Pin]) -> None:
        self.tag: Tag
        self.pins = pins
        self.curl = pycurl.Curl()
        self.has_own_deadline = False
        self.proxy = _proxy_at(settings.WEBHOOK_PROXY)
        # With a proxy: whom it is to connect to, and where it is itself.
        self.receivers: names.Addresses = ()
        self.ways_out: set[tuple[str, int]] = set()
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.TIMEOUT_MS, int(settings.WEBHOOK_TIMEOUT_SECONDS * 1000)),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROTOCOLS, _protocols()),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.HTTP09_ALLOWED, 0),
            # Empty ones, too: otherwise libcurl takes them from the environment.
            (pycurl.PROXY, self.proxy.url if self.proxy else ""),
            (pycurl.NOPROXY, ""),
            (pycurl.HTTPPROXYTUNNEL, 1 if self.proxy else 0),
            (_SUPPRESS_CONNECT_HEADERS, 1),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.CAINFO, CA_FILE),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.USERAGENT, USER_AGENT),
            (pycurl.DNS_CACHE_TIMEOUT, PIN_SECONDS),
            (pycurl.MAXLIFETIME_CONN, CONNECTION_SECONDS),
            (pycurl.RESOLVER_START_FUNCTION, self._refuse_look_up),
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.HEADERFUNCTION, self._receive_header),
            (pycurl.WRITEFUNCTION, self._receive_body),
        ):
            self.curl.setopt(option, value)

    def prepare(self, request: Request, tag: Tag) -> None:
        """Take the request over; raise ValueError, or what libcurl does, where it cannot be sent."""
        self.tag = tag
        self.refused = self.cut = self.has_too_many_headers = False
        self.looked_up_ms = 0
        if self.has_own_deadline:
            self.curl.setopt(pycurl.TIMEOUT_MS, int(settings.WEBHOOK_TIMEOUT_SECONDS * 1000))
            self.has_own_deadline = False
        self.looking_up: dict[str, tuple[Future[names.Addresses], float]] = {}
        self.new_pin: tuple[tuple[str, int], Pin] | None = None
        self.header_block = bytearray()
        self.snippet = bytearray()
        self.started_at = datetime.now(UTC)
        self.target = guard.target_of(request.url)
        # Where libcurl reads the host in another spelling, it does not find the addresses that it is given for it.
        self.curl.setopt(pycurl.URL, self.target.url.encode())
        headers = [f"{name}: {value}" for name, value in request.headers]
        text = "".join(headers)
        if "\r" in text or "\n" in text or "\0" in text:
            # It could add headers, or end them and begin a body.
            raise ValueError("A header has a line break or a NUL in it.")
        # "Expect:" alone takes that header off: waiting for a "100 Continue" would only cost a second.
        self.curl.setopt(pycurl.HTTPHEADER, [*headers, "Expect:"])
        self.curl.setopt(pycurl.POSTFIELDS, request.body)

    def answer(self, curl_code: int = pycurl.E_OK, curl_text: str = "") -> Answer:
        if self.new_pin and not self.refused:
            host_and_port, pin = self.new_pin
            self.pins[host_and_port] = pin
        in_curl_ms = int(self.curl.getinfo(pycurl.TOTAL_TIME) * 1000)
        duration_ms = self.looked_up_ms + in_curl_ms
        status = self.curl.getinfo(pycurl.RESPONSE_CODE) or None
        remote_address = self._remote_address()
        error, error_text = "", ""
        if self.refused:
            status, error = None, Attempt.Error.ADDRESS_REFUSED
        elif self.has_too_many_headers:
            status, error, error_text = None, Attempt.Error.PROTOCOL, TOO_MANY_HEADERS[0]
        elif curl_code != pycurl.E_OK and self._proxy_is_at_fault(curl_code):
            status, error, error_text = None, Attempt.Error.CONNECT, self._proxy_error(curl_text)
        elif curl_code != pycurl.E_OK and not self.cut:
            status, error = None, ERROR_BY_CURL_CODE.get(curl_code, Attempt.Error.RESET)
            # It may repeat what the receiver wrote.
            error_text = visible(curl_text)[:500]
            if curl_code == TOO_LARGE:
                error_text = TOO_MANY_HEADERS["Too many" in curl_text]
            if curl_code == pycurl.E_UNSUPPORTED_PROTOCOL and not remote_address:
                # The same code as for an answer that is not HTTP, but there was no connection: the URL is at fault.
                error = Attempt.Error.REQUEST
        elif status is None:
            error = Attempt.Error.PROTOCOL
        return Answer(
            self.started_at,
            duration_ms,
            NO_PHASES if error == Attempt.Error.REQUEST else self._all_phases(in_curl_ms, bool(remote_address)),
            status,
            error,
            error_text,
            remote_address,
            headers=self._headers(),
            snippet=bytes(self.snippet),
        )

    def _headers(self) -> tuple[tuple[str, str], ...]:
        read = _kept_final_headers if len(self.header_block) <= MOST_KEPT_BYTES else _final_headers
        return read(bytes(self.header_block))

    def _remote_address(self) -> str | None:
        if self.proxy is None:
            return self.curl.getinfo(pycurl.PRIMARY_IP) or None
        # libcurl knows the proxy's address only.
        return self.receivers[0] if self._is_connected_through() else None

    def _is_connected_through(self) -> bool:
        """Say whether the proxy connected to the receiver, now or for an earlier request."""
        moment = self.curl.getinfo
        return moment(pycurl.HTTP_CONNECTCODE) == 200 or bool(
            moment(pycurl.PRIMARY_IP) and not moment(pycurl.NUM_CONNECTS)
        )

    def _proxy_is_at_fault(self, curl_code: int) -> bool:
        if self.proxy is None or self._is_connected_through():
            return False
        if self.curl.getinfo(pycurl.PRIMARY_IP):
            # One that has taken the request, and ran out of time, is most likely still trying.
            return bool(curl_code != pycurl.E_OPERATION_TIMEDOUT)
        return curl_code not in (pycurl.E_URL_MALFORMAT, pycurl.E_UNSUPPORTED_PROTOCOL)

    def _proxy_error(self, curl_text: str) -> str:
        answered = self.curl.getinfo(pycurl.HTTP_CONNECTCODE)
        if answered in _TRIED_IN_VAIN:
            return PROXY_REACHED_NOBODY
        logger.warning("proxy_failed", http_status=answered or None, error=visible(curl_text))
        return PROXY_REFUSED if answered else PROXY_FAILED

    def _all_phases(self, end: int, is_connected: bool) -> Phases:
        """Add the look-up, which came before libcurl had the request."""
        phases = self._phases(end, is_connected)
        return phases._replace(lookup_ms=self.looked_up_ms + (phases.lookup_ms or 0)) if self.looked_up_ms else phases

    def _phases(self, end: int, is_connected: bool) -> Phases:
        """Split a duration that ended at `end` by the moments at which phases were done: 0 where they were not.

        Over a kept connection nothing is looked up, connected or negotiated, so that two questions suffice. Where
        connecting or TLS failed, libcurl gives the end as the moment of the first byte.
        """
        moment = self.curl.getinfo
        looked_up = moment(pycurl.NAMELOOKUP_TIME)
        if not looked_up and not is_connected:
            return Phases(lookup_ms=end)
        first_byte = moment(pycurl.STARTTRANSFER_TIME)
        answering = int(first_byte * 1000) if first_byte else end
        if not looked_up:
            return Phases(wait_ms=answering)
        connecting = int(looked_up * 1000)
        connected = moment(pycurl.CONNECT_TIME)
        if not connected or (self.proxy and not self._is_connected_through()):
            return Phases(connecting, end - connecting)
        securing = int(connected * 1000)
        secured = moment(pycurl.APPCONNECT_TIME)
        if secured:
            waiting = int(secured * 1000)
            return Phases(connecting, securing - connecting, waiting - securing, answering - waiting)
        if self.curl.getinfo(pycurl.EFFECTIVE_URL).startswith("https:"):
            return Phases(connecting, securing - connecting, end - securing)
        return Phases(connecting, securing - connecting, None, answering - securing)

    def find(self) -> bool:
        """Pin libcurl to what the host stands for; return False where that is still being looked up.

        Raises guard.Refused where an address may not be called, names.LookUpFailedError or TimeoutError where none is
        found, and ProxyNotFoundError where the way there is not.
        """
        host = self.target.host
        addresses = (host,) if self.target.is_address else self._addresses_of(host)
        if addresses is None:
            return False
        if not guard.allows_all(addresses):
            raise guard.Refused
        if self.proxy is None:
            self._pin(host, self.target.port, addresses)
            return True
        ways_out = self._addresses_of_proxy(self.proxy)
        if ways_out is None:
            return False
        self._lead_through(self.proxy, ways_out, addresses)
        return True

    def _addresses_of(self, host: str) -> names.Addresses | None:
        """Return what `host` stands for; None while that is being looked up."""
        addresses = names.known(host)
        if addresses is not None:
            return addresses
        if host not in self.looking_up:
            self.looking_up[host] = (names.look_up(host), time.monotonic())
        found, since = self.looking_up[host]
        if found.done():
            return found.result()
        if time.monotonic() - since > min(LOOK_UP_SECONDS, settings.WEBHOOK_TIMEOUT_SECONDS):
            raise TimeoutError
        return None

    def _addresses_of_proxy(self, proxy: Proxy) -> names.Addresses | None:
        if proxy.is_address:
            return (proxy.host,)
        try:
            return self._addresses_of(proxy.host)
        except (names.LookUpFailedError, TimeoutError):
            raise ProxyNotFoundError from None

    def _lead_through(self, proxy: Proxy, ways_out: names.Addresses, addresses: names.Addresses) -> None:
        """Have libcurl ask the proxy for the first of the addresses, of IPv4 where there is one: not all go further."""
        self.receivers = tuple(sorted(addresses, key=lambda address: ":" in address))
        self.ways_out = {(way_out, proxy.port) for way_out in ways_out}
        self._pin(proxy.host, proxy.port, ways_out)
        # Whatever host libcurl reads in the URL.
        self.curl.setopt(pycurl.CONNECT_TO, [f"::{_bracketed(self.receivers[0])}:{self.target.port}"])

    def _pin(self, host: str, port: int, addresses: names.Addresses) -> None:
        if self.looking_up:
            self._count_look_up()
        pinned, until = self.pins.get((host, port), NO_PIN)
        now = time.monotonic()
        if addresses != pinned or now >= until:
            if len(self.pins) > names.MOST_KEPT:
                self.pins.clear()
            self.curl.setopt(pycurl.RESOLVE, [f"+{_bracketed(host)}:{port}:{','.join(addresses)}"])
            self.new_pin = (host, port), Pin(addresses, now + names.KEEP_SECONDS)

    def unfound(self, error: Exception) -> Answer:
        """Answer for a request that got no further than its look-up."""
        duration_ms = self._looked_up_ms()
        code, text = _look_up_error(error)
        return Answer(self.started_at, duration_ms, phases=Phases(lookup_ms=duration_ms), error=code, error_text=text)

    def _looked_up_ms(self) -> int:
        since = min((since for _, since in self.looking_up.values()), default=None)
        return int((time.monotonic() - since) * 1000) if since is not None else 0

    def _count_look_up(self) -> None:
        """Let the request end in time although it has waited for its look-up."""
        self.looked_up_ms = self._looked_up_ms()
        left = int(settings.WEBHOOK_TIMEOUT_SECONDS * 1000) - self.looked_up_ms
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, left))
        self.has_own_deadline = True

    def _refuse_look_up(self) -> int:
        # libcurl reads another host in the URL than `guard` does, or has lost its addresses: it has none for it.
        self.refused = True
        self.pins.clear()
        return 1

    def _open_socket(self, purpose: int, address: Any) -> Any:
        family, kind, protocol, (host, port, *_) = address
        allowed = (host, port) in self.ways_out if self.proxy else guard.allows(host) and guard.allows_port(port)
        if self.refused or not allowed:
            # Nor is another address of the same name tried after one that is refused.
            self.refused = True
            return pycurl.SOCKET_BAD
        return _DuplicatedSocket(family, kind, protocol)

    def _receive_header(self, line: bytes) -> int | None:
        if len(self.header_block) + len(line) > MOST_HEADER_BYTES:
            self.has_too_many_headers = True
            return -1
        self.header_block += line
        return None  # everything taken

    def _receive_body(self, chunk: bytes) -> int | None:
        self.snippet += chunk[: MAX_SNIPPET_BYTES - len(self.snippet)]
        if len(self.snippet) < MAX_SNIPPET_BYTES:
            return None  # everything taken
        # The status and all that is kept of the body are here; the rest would only cost time and traffic.
        self.cut = True
        return -1


class Transport(Generic[Tag]):
    """Requests in flight, each with a tag of the caller's; one thread only.

    `size` bounds how many there are. It must stay below 1,000: libcurl waits with select(), which knows 1,024 files.
    """

    def __init__(self, size: int) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, size)
        # What a request has pinned serves all that come later, once it has come back: not all begin in their order.
        self._pins: dict[tuple[str, int], Pin] = {}
        self._size = size
        self._idle: list[_Transfer[Tag]] = []
        self._busy: dict[pycurl.Curl, _Transfer[Tag]] = {}
        self._looking_up: list[_Transfer[Tag]] = []
        self._unsendable: list[tuple[Tag, Answer]] = []

    @property
    def free(self) -> int:
        """How many more requests fit in."""
        return self._size - self.in_flight

    @property
    def in_flight(self) -> int:
        return len(self._busy) + len(self._looking_up) + len(self._unsendable)

    def start(self, request: Request, tag: Tag) -> None:
        """Put `request` in flight; `finished` brings its answer, whatever is wrong with it."""
        transfer = self._idle.pop() if self._idle else _Transfer(self._pins)
        try:
            transfer.prepare(request, tag)
        except guard.Refused as error:
            self._idle.append(transfer)
            refused = Answer(datetime.now(UTC), 0, error=Attempt.Error.ADDRESS_REFUSED, error_text=str(error))
            self._unsendable.append((tag, refused))
            return
        except (pycurl.error, TypeError, ValueError) as error:
            self._idle.append(transfer)
            text = f"{type(error).__name__}: {error}"[:500]
            self._unsendable.append((tag, Answer(datetime.now(UTC), 0, error=Attempt.Error.REQUEST, error_text=text)))
            return
        if not self._send(transfer):
            self._looking_up.append(transfer)

    def _send(self, transfer: _Transfer[Tag]) -> bool:
        """Put the request on its way; return False while its name is being looked up."""
        try:
            if not transfer.find():
                return False
        except (guard.Refused, names.LookUpFailedError, ProxyNotFoundError, TimeoutError) as error:
            self._unsendable.append((transfer.tag, transfer.unfound(error)))
            self._idle.append(transfer)
            return True
        self._busy[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)
        return True

    def finished(self, timeout: float) -> Iterator[tuple[Tag, Answer]]:
        """Yield what has finished; while nothing has, wait up to `timeout` seconds for something to happen."""
        if self._looking_up:
            self._looking_up = [transfer for transfer in self._looking_up if not self._send(transfer)]
            # Nothing tells that a look-up has ended.
            timeout = min(timeout, 0.005)
        while self._unsendable:
            yield self._unsendable.pop()
        if self._looking_up and not self._busy:
            time.sleep(timeout)
            return
        self._multi.perform()
        queued, succeeded, failed = self._multi.info_read()
        if not (succeeded or failed) and self._busy:
            self._wait(timeout)
            self._multi.perform()
            queued, succeeded, failed = self._multi.info_read()
        while True:
            for curl in succeeded:
                yield self._take_back(curl)
            for curl, code, text in failed:
                yield self._take_back(curl, code, text)
            if not queued:
                return
            queued, succeeded, failed = self._multi.info_read()

    def break_off(self) -> list[Tag]:
        """Drop what is in flight and return its tags; the connections that are idle stay."""
        tags = [tag for tag, _ in self._unsendable] + [transfer.tag for transfer in self._looking_up]
        self._idle += self._looking_up
        self._looking_up = []
        for curl, transfer in self._busy.items():
            self._multi.remove_handle(curl)
            # Not used again: it may still have addresses to pin, which would be old by then.
            curl.close()
            tags.append(transfer.tag)
        self._busy = {}
        self._unsendable = []
        return tags

    def close(self) -> None:
        """Drop what is in flight and close all connections."""
        self.break_off()
        for transfer in self._idle:
            transfer.curl.close()
        self._multi.close()

    def _wait(self, timeout: float) -> None:
        own_timer = self._multi.timeout() / 1000
        if 0 <= own_timer < timeout:
            timeout = own_timer
        if self._multi.fdset() == ([], [], []):
            # As while a name is looked up: there is nothing that select() could watch.
            time.sleep(min(timeout, 0.005))
        else:
            self._multi.select(timeout)

    def _take_back(self, curl: pycurl.Curl, code: int = pycurl.E_OK, text: str = "") -> tuple[Tag, Answer]:
        transfer = self._busy.pop(curl)
        self._multi.remove_handle(curl)
        self._idle.append(transfer)
        return transfer.tag, transfer.answer(code, text)


def _look_up_error(error: Exception) -> tuple[str, str]:
    if isinstance(error, guard.Refused):
        return Attempt.Error.ADDRESS_REFUSED, ""
    if isinstance(error, ProxyNotFoundError):
        logger.warning("proxy_failed", error="Its name stands for nothing, or was not looked up in time.")
        return Attempt.Error.CONNECT, PROXY_FAILED
    # A deadline that only the look-up ran over is a matter of the name as well.
    return Attempt.Error.NAME, ""


def call(request: Request) -> Answer:
    """Send one request and wait for its answer."""
    transport: Transport[None] = Transport(1)
    try:
        transport.start(request, None)
        while True:
            for _, answer in transport.finished(timeout=0.1):
                return answer
    finally:
        transport.close()
