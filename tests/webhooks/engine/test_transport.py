"""The transport against real sockets; what an answer then means is the matter of `outcome`."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from tests import receivers
from tests.receivers import Receiver, closed_port, status
from webhooks.engine import guard, names, transport
from webhooks.engine.transport import Answer, Request, Transport, call
from webhooks.models import Attempt

pytestmark = pytest.mark.usefixtures("loopback_allowed")


def request(url: str) -> Request:
    return Request(url, [("Content-Type", "application/json"), ("Wink-Version", "2.0")], b'{"a": 1}')


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the certificate of the receivers be one to trust."""
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca_file.write_text(receivers.self_signed_certificate()[0])
    monkeypatch.setattr(transport, "CA_FILE", str(ca_file))


def answers_to(sender: Transport[None], *requests: Request) -> list[Answer]:
    """Send the requests at a time; return their answers as they come."""
    for each in requests:
        sender.start(each, None)
    answers: list[Answer] = []
    while sender.in_flight:
        answers += [answer for _, answer in sender.finished(0.1)]
    return answers


def call_in_turn(request: Request, count: int) -> list[Answer]:
    """Send the same request so many times, one after the other, over the connections that there are."""
    sender: Transport[None] = Transport(1)
    answers: list[Answer] = []
    while len(answers) < count:
        answers += answers_to(sender, request)
    sender.close()
    return answers


def test_it_posts_the_bytes_and_the_headers(receiver: Receiver) -> None:
    answer = call(request(receiver.url))
    assert (answer.http_status, answer.error) == (204, "")
    assert answer.remote_address == "127.0.0.1"
    [received] = receiver.requests
    assert (received.method, received.path, received.body) == ("POST", "/webhook/wink", b'{"a": 1}')
    assert received.header("Content-Type") == "application/json"
    assert received.header("Wink-Version") == "2.0"
    assert received.header("User-Agent") == "Winkhooks/1.0"
    for name in ("Expect", "Accept-Encoding", "Cookie", "Authorization"):
        assert received.header(name) is None


def test_it_keeps_headers_and_body_of_the_answer() -> None:
    with Receiver(status(500, headers=[("X-Reason", "none"), ("X-Reason", "at all")], body=b"sorry")) as receiver:
        answer = call(request(receiver.url))
    assert answer.http_status == 500
    assert answer.snippet == b"sorry"
    assert [value for name, value in answer.headers if name == "X-Reason"] == ["none", "at all"]
    assert answer.header("x-reason") == "at all"
    assert answer.header("x-else") is None


def test_it_uses_connections_again(receiver: Receiver) -> None:
    sender: Transport[int] = Transport(1)
    for number in range(3):
        sender.start(request(receiver.url), number)
        assert sender.free == 0
        while sender.in_flight:
            assert all(answer.http_status == 204 for _, answer in sender.finished(0.1))
    sender.close()
    assert len(receiver.requests) == 3
    assert receiver.connections == 1


class TestPhases:
    """Where the time of a request went: what there was of it, in the order in which it came about."""

    def test_a_new_connection_has_all_but_tls(self) -> None:
        with Receiver(status(204, delay=0.2)) as receiver:
            answer = call(request(receiver.url.replace("127.0.0.1", "localhost")))
        lookup, connect, tls, wait = answer.phases
        assert lookup is not None
        assert connect is not None
        assert tls is None
        assert wait is not None
        assert 150 <= wait <= answer.duration_ms
        assert lookup + connect + wait <= answer.duration_ms

    def test_with_tls_it_has_all(self, trusted: None) -> None:
        with Receiver(status(204, delay=0.2), tls=True) as receiver:
            answer = call(request(receiver.url))
        phases = [milliseconds for milliseconds in answer.phases if milliseconds is not None]
        assert len(phases) == 4
        assert sum(phases) <= answer.duration_ms
        assert answer.phases.wait_ms is not None
        assert answer.phases.wait_ms >= 150

    @pytest.mark.parametrize("tls", [False, True])
    def test_over_a_kept_connection_only_the_answer_is_waited_for(self, trusted: None, tls: bool) -> None:
        with Receiver(status(204, delay=0.2), tls=tls) as receiver:
            _, answer = call_in_turn(request(receiver.url), 2)
            assert receiver.connections == 1
        assert answer.phases[:3] == (None, None, None)
        assert answer.phases.wait_ms is not None
        assert 150 <= answer.phases.wait_ms <= answer.duration_ms

    def test_what_comes_after_the_first_byte_is_not_waiting(self, demanding: None) -> None:
        with Receiver(receivers.trickle_body) as receiver:
            answer = call(request(receiver.url))
        assert answer.error == Attempt.Error.TIMEOUT
        assert answer.phases.wait_ms is not None
        assert answer.phases.wait_ms < 500 < answer.duration_ms

    def test_a_receiver_that_hangs_is_waited_for_to_the_end(self, demanding: None) -> None:
        with Receiver(receivers.hang) as receiver:
            _, connect, tls, wait = call(request(receiver.url)).phases
        assert connect is not None
        assert tls is None
        assert wait is not None
        assert wait > 900

    def test_a_kept_connection_that_hangs_is_waited_for_to_the_end(self, demanding: None) -> None:
        with Receiver(status(204), receivers.hang) as receiver:
            _, answer = call_in_turn(request(receiver.url), 2)
        assert answer.error == Attempt.Error.TIMEOUT
        assert answer.phases == (None, None, None, answer.duration_ms)

    def test_tls_that_hangs_lasts_to_the_end(self, demanding: None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            answer = call(request(f"https://127.0.0.1:{silent.getsockname()[1]}/"))
        assert answer.error == Attempt.Error.TIMEOUT
        assert answer.phases.tls_ms is not None
        assert answer.phases.tls_ms > 900
        assert answer.phases.wait_ms is None

    def test_a_certificate_that_is_refused_ends_in_tls(self) -> None:
        with Receiver(tls=True) as receiver:
            answer = call(request(receiver.url))
        assert answer.error == Attempt.Error.TLS
        assert answer.phases.tls_ms is not None
        assert answer.phases.wait_ms is None

    def test_without_a_connection_it_ends_in_connecting(self) -> None:
        with closed_port() as port:
            lookup, connect, *rest = call(request(f"http://127.0.0.1:{port}/")).phases
        assert lookup is not None
        assert connect is not None
        assert rest == [None, None]

    def test_without_the_name_it_ends_in_the_look_up(self) -> None:
        answer = call(request("http://nowhere.invalid/"))
        assert answer.phases == (answer.duration_ms, None, None, None)

    @pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/", "http://a\0b/"])
    def test_without_a_request_there_is_none(self, url: str) -> None:
        assert call(request(url)).phases == (None, None, None, None)


def test_it_never_follows_a_redirect(receiver: Receiver) -> None:
    with Receiver(receivers.redirect(receiver.url, 307)) as redirecting:
        answer = call(request(redirecting.url))
    assert answer.http_status == 307
    assert receiver.requests == []


@pytest.mark.parametrize("size", [4095, 4096, 4097, 50_000_000])
def test_it_cuts_the_body_at_4_kb(size: int) -> None:
    with Receiver(receivers.streamed(size)) as receiver:
        answer = call(request(receiver.url))
    assert (answer.http_status, answer.error) == (200, "")
    assert answer.snippet == b"x" * min(size, 4096)
    assert answer.duration_ms < 5000


@pytest.mark.parametrize("slow", [receivers.hang, receivers.trickle_headers, receivers.trickle_body])
def test_the_deadline_covers_headers_and_body(slow: receivers.Answer, settings: Settings) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 1.5
    started = time.monotonic()
    with Receiver(slow) as receiver:
        answer = call(request(receiver.url))
        assert time.monotonic() - started < 3
    assert (answer.http_status, answer.error) == (None, Attempt.Error.TIMEOUT)
    assert 1400 <= answer.duration_ms < 3000


@pytest.mark.parametrize(
    "misbehaviour, error",
    [
        (receivers.reset_before_reading, Attempt.Error.RESET),
        (receivers.reset_after_reading, Attempt.Error.RESET),
        (receivers.close_without_answer, Attempt.Error.RESET),
        (receivers.close_within_body, Attempt.Error.RESET),
        (receivers.not_http, Attempt.Error.PROTOCOL),
    ],
)
def test_it_names_what_went_wrong(misbehaviour: receivers.Answer, error: Attempt.Error) -> None:
    with Receiver(misbehaviour) as receiver:
        answer = call(request(receiver.url))
    assert (answer.http_status, answer.error) == (None, error)
    assert answer.error_text


def test_it_does_not_trust_a_certificate_that_nobody_signed() -> None:
    with Receiver(tls=True) as receiver:
        answer = call(request(receiver.url))
        assert (answer.http_status, answer.error) == (None, Attempt.Error.TLS)
        assert "certificate" in answer.error_text
        assert receiver.requests == []


def test_it_speaks_tls_with_a_certificate_that_is_trusted(trusted: None) -> None:
    with Receiver(tls=True) as receiver:
        assert call(request(receiver.url)).http_status == 204


def test_a_port_where_nothing_listens_is_no_connection() -> None:
    with closed_port() as port:
        answer = call(request(f"http://127.0.0.1:{port}/"))
    assert (answer.http_status, answer.error) == (None, Attempt.Error.CONNECT)


def test_a_name_that_does_not_exist_cannot_be_looked_up() -> None:
    answer = call(request("http://nowhere.invalid/"))
    assert (answer.http_status, answer.error) == (None, Attempt.Error.NAME)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433"])
def test_it_does_not_connect_to_an_address_that_is_refused(host: str, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(0.2)
        answer = call(request(f"http://{host}:{canary.getsockname()[1]}/"))
        assert (answer.http_status, answer.error) == (None, Attempt.Error.ADDRESS_REFUSED)
        with pytest.raises(TimeoutError):
            canary.accept()


@pytest.mark.parametrize(
    "host", ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:FFFF:7F00:1]", "0x7f.1", "LOCALHOST"]
)
def test_a_host_is_called_however_it_is_spelled(host: str, receiver: Receiver) -> None:
    answer = call(request(receiver.url.replace("127.0.0.1", host)))
    assert (answer.http_status, answer.error) == (204, "")
    assert receiver.requests[0].header("Host") in {
        f"{plain}:{receiver.port}" for plain in ("[::ffff:127.0.0.1]", "127.0.0.1", "localhost")
    }


class NameServer:
    """What getaddrinfo answers; a name that it does not know hangs until `ended` is set."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.asked: list[str] = []
        self.addresses: dict[str, list[str]] = {}

    def getaddrinfo(self, host: str, *args: Any, **kwargs: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.addresses:
            self.ended.wait(10)
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self.addresses[host]]


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    names.forget()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.ended.set()
    names.forget()


@pytest.mark.parametrize("addresses", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]])
def test_a_name_with_any_address_that_is_refused_is_not_called(
    addresses: list[str], receiver: Receiver, name_server: NameServer
) -> None:
    name_server.addresses["mixed.example"] = addresses
    answer = call(request(receiver.url.replace("127.0.0.1", "mixed.example")))
    assert (answer.http_status, answer.error) == (None, Attempt.Error.ADDRESS_REFUSED)
    assert answer.remote_address is None
    assert receiver.connections == 0


def test_a_name_that_has_moved_inside_is_not_called_over_a_kept_connection_either(
    receiver: Receiver, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "KEEP_SECONDS", 0)
    url = receiver.url.replace("127.0.0.1", "moving.example")
    sender: Transport[None] = Transport(1)
    errors = []
    for address in ("127.0.0.1", "127.0.0.1", "169.254.169.254"):
        name_server.addresses["moving.example"] = [address]
        errors += [answer.error for answer in answers_to(sender, request(url))]
    sender.close()
    assert errors == ["", "", Attempt.Error.ADDRESS_REFUSED]
    assert (len(receiver.requests), receiver.connections) == (2, 1)


def test_a_name_is_looked_up_once_for_many_requests(receiver: Receiver, name_server: NameServer) -> None:
    name_server.addresses["known.example"] = ["127.0.0.1"]
    answers = call_in_turn(request(receiver.url.replace("127.0.0.1", "known.example")), 5)
    assert [answer.http_status for answer in answers] == [204] * 5
    assert name_server.asked == ["known.example"]


def test_a_name_that_has_moved_is_called_at_its_new_address(name_server: NameServer) -> None:
    places = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.1"]
    answers: list[Answer] = []
    with Receiver(status(204, headers=[("Connection", "close")]), host="0.0.0.0") as receiver:
        sender: Transport[None] = Transport(1)
        for address in places:
            names.forget()
            name_server.addresses["moving.example"] = [address]
            answers += answers_to(sender, request(f"http://moving.example:{receiver.port}/"))
        sender.close()
    assert [(answer.http_status, answer.remote_address) for answer in answers] == [(204, place) for place in places]


def test_what_one_request_has_pinned_serves_others_that_connect_anew(name_server: NameServer) -> None:
    name_server.addresses["known.example"] = ["127.0.0.1"]
    with Receiver(status(204, headers=[("Connection", "close")])) as receiver:
        to_known = request(receiver.url.replace("127.0.0.1", "known.example"))
        sender: Transport[None] = Transport(3)
        answers: list[Answer] = []
        for at_once in (1, 3, 3):
            answers += answers_to(sender, *[to_known] * at_once)
        sender.close()
        assert [answer.http_status for answer in answers] == [204] * 7
        assert receiver.connections == 7


def test_what_was_broken_off_before_it_began_has_pinned_nothing(receiver: Receiver) -> None:
    sender: Transport[None] = Transport(1)
    sender.start(request(receiver.url), None)
    assert sender.break_off() == [None]
    answers = answers_to(sender, request(receiver.url))
    sender.close()
    assert [answer.http_status for answer in answers] == [204]


def test_libcurl_looks_up_nothing_itself(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if the two read another host in the URL.
    monkeypatch.setattr(guard, "target_of", lambda url: guard.Target("127.0.0.1", 1, is_address=True, url=url))
    answer = call(request(receiver.url.replace("127.0.0.1", "localhost")))
    assert answer.error == Attempt.Error.ADDRESS_REFUSED
    assert receiver.connections == 0


def test_a_hundred_names_that_hang_delay_no_other(
    receiver: Receiver, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LOOK_UP_SECONDS", 2.0)
    name_server.addresses["healthy.example"] = ["127.0.0.1"]
    sender: Transport[int] = Transport(110)
    for number in range(100):
        sender.start(request(f"http://hanging{number}.example/"), number)
    started = time.monotonic()
    sender.start(request(receiver.url.replace("127.0.0.1", "healthy.example")), 100)
    finished: dict[int, Answer] = {}
    healthy_after = 0.0
    while sender.in_flight:
        finished.update(sender.finished(0.1))
        if 100 in finished and not healthy_after:
            healthy_after = time.monotonic() - started
    sender.close()
    assert finished.pop(100).http_status == 204
    assert healthy_after < 1.9
    assert {answer.error for answer in finished.values()} == {Attempt.Error.NAME}
    assert all(2000 <= answer.duration_ms < 4000 for answer in finished.values())


def test_a_port_that_may_not_be_called_is_refused() -> None:
    assert call(request("http://127.0.0.1:22/")).error == Attempt.Error.ADDRESS_REFUSED


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_it_takes_no_proxy_from_the_environment(
    variable: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closed_port() as port:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        assert call(request(receiver.url)).http_status == 204


@pytest.mark.parametrize(
    "url", ["", "not a url", "ftp://127.0.0.1/", "file:///etc/passwd", "http://127.0.0.1:99999/", "http://a\0b/"]
)
def test_a_url_that_cannot_be_called_is_an_answer_too(url: str) -> None:
    answer = call(request(url))
    assert answer.http_status is None
    assert answer.error in (Attempt.Error.REQUEST, Attempt.Error.NAME)


def test_plain_http_can_be_forbidden(receiver: Receiver, settings: Settings) -> None:
    settings.WEBHOOK_REQUIRE_HTTPS = True
    assert call(request(receiver.url)).error == Attempt.Error.REQUEST
    assert receiver.requests == []


def test_many_are_in_flight_at_a_time() -> None:
    with Receiver(status(204, delay=0.3)) as receiver:
        sender: Transport[int] = Transport(20)
        started = time.monotonic()
        for number in range(20):
            sender.start(request(receiver.url), number)
        finished: dict[int, Answer] = {}
        while sender.in_flight:
            finished.update(sender.finished(0.1))
        sender.close()
        assert time.monotonic() - started < 2
    assert finished.keys() == set(range(20))
    assert receiver.most_at_once == 20


def test_closing_breaks_off_what_is_in_flight() -> None:
    with Receiver(receivers.hang) as receiver:
        sender: Transport[None] = Transport(1)
        sender.start(request(receiver.url), None)
        while not receiver.connections:
            list(sender.finished(0.05))
        sender.close()


def test_headers_without_end_are_not_taken() -> None:
    many = [(f"X-{number}", "x" * 1000) for number in range(80)]
    with Receiver(status(204, headers=many)) as receiver:
        answer = call(request(receiver.url))
    assert (answer.http_status, answer.error) == (None, Attempt.Error.PROTOCOL)
    assert answer.error_text == transport.TOO_MANY_HEADERS[0]


def test_nor_is_one_header_without_end() -> None:
    with Receiver(status(204, headers=[("X-Long", "x" * 200_000)])) as receiver:
        answer = call(request(receiver.url))
    assert (answer.error, answer.error_text) == (Attempt.Error.PROTOCOL, transport.TOO_MANY_HEADERS[0])


def test_nor_are_short_headers_without_end() -> None:
    with Receiver(status(204, headers=[("a", "b")] * 6000)) as receiver:
        answer = call(request(receiver.url))
    assert (answer.error, answer.error_text) == (Attempt.Error.PROTOCOL, transport.TOO_MANY_HEADERS[1])


def test_what_an_error_repeats_of_the_answer_is_harmless() -> None:
    with Receiver(status(200, headers=[("Transfer-Encoding", "\x1b[31mred, chunked")])) as receiver:
        answer = call(request(receiver.url))
    assert (answer.http_status, answer.error) == (None, Attempt.Error.PROTOCOL)
    assert "␛[31mred" in answer.error_text


def test_a_compressed_body_is_kept_as_it_is() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    with Receiver(status(200, headers=[("Content-Encoding", "gzip")], body=bomb)) as receiver:
        answer = call(request(receiver.url))
    assert answer.http_status == 200
    assert answer.snippet == bomb[: transport.MAX_SNIPPET_BYTES]


@pytest.mark.parametrize("text", ["a\r\nX-Else: b", "a\nb", "a\rb", "a\0b"])
def test_a_header_cannot_bring_in_another(receiver: Receiver, text: str) -> None:
    answer = call(Request(receiver.url, [("Wink-Version", text)], b"{}"))
    assert answer.error == Attempt.Error.REQUEST
    assert receiver.requests == []
