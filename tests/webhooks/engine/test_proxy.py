"""WEBHOOK_PROXY: all requests go through it, to addresses that the guard has allowed; its failures are told apart."""

import base64
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from tests import receivers
from tests.certificates import intermediate, make, root, server_context
from tests.receivers import Connection, Receiver, closed_port, head, status, tunnel
from webhooks import diagnosis
from webhooks.engine import names, transport
from webhooks.engine.transport import Answer, Request, Transport, call
from webhooks.models import Attempt

pytestmark = pytest.mark.usefixtures("loopback_allowed")

CREDENTIALS = "portal:a-password-of-the-proxy"


def request(url: str) -> Request:
    return Request(url, [("Wink-Version", "2.0")], b'{"a": 1}')


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Receiver]:
    """A proxy on loopback, which all requests are to use."""
    with Receiver(tunnel) as proxy:
        settings.WEBHOOK_PROXY = f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}"
        yield proxy


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """What names stand for."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        if transport._is_address(host):
            return real(host, *args, **kwargs)
        if host not in known:
            raise socket.gaierror
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (families[ipaddress.ip_address(address).version], socket.SOCK_STREAM, 6, "", (address, 0))
            for address in known[host]
        ]

    names.forget()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield known
    names.forget()


def send(sender: Transport[None], url: str) -> Answer:
    sender.start(request(url), None)
    while True:
        for _, answer in sender.finished(0.1):
            return answer


def meaning_of(answer: Answer) -> str:
    attempt = Attempt(error=answer.error, error_text=answer.error_text, duration_ms=1, **answer.phases._asdict())
    return str(diagnosis.meaning_of(attempt))


def title_of(answer: Answer) -> str:
    return diagnosis.title_of(Attempt(error=answer.error, error_text=answer.error_text))


def test_all_goes_through_it(proxy: Receiver, receiver: Receiver) -> None:
    answer = call(request(receiver.url))
    assert (answer.http_status, answer.error) == (204, "")
    [asked] = proxy.requests
    assert (asked.method, asked.path) == ("CONNECT", f"127.0.0.1:{receiver.port}")
    assert asked.header("Proxy-Authorization") == f"Basic {base64.b64encode(CREDENTIALS.encode()).decode()}"
    assert asked.header("Wink-Version") is None
    [received] = receiver.requests
    assert (received.method, received.path, received.body) == ("POST", "/webhook/wink", b'{"a": 1}')
    assert received.header("Wink-Version") == "2.0"
    assert received.header("Proxy-Authorization") is None


@pytest.mark.parametrize("spelling", ["::1", "0:0:0:0:0:0:0:1", "0000::0001", "::0.0.0.1"])
def test_its_address_may_be_spelled_in_any_way(settings: Settings, receiver: Receiver, spelling: str) -> None:
    with Receiver(tunnel, host="::1") as proxy:
        settings.WEBHOOK_PROXY = f"http://{CREDENTIALS}@[{spelling}]:{proxy.port}"
        answer = call(request(receiver.url))
    assert (answer.http_status, answer.error) == (204, "")
    assert (len(proxy.requests), len(receiver.requests)) == (1, 1)


def test_what_the_proxy_answers_is_not_of_the_receiver(proxy: Receiver) -> None:
    with Receiver(status(200, headers=[("X-Receiver", "yes")])) as receiver:
        answer = call(request(receiver.url))
    assert answer.header("x-receiver") == "yes"
    assert answer.header("x-proxy") is None


def test_tls_is_with_the_receiver(
    proxy: Receiver, addresses: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca_file.write_text(root().pem)
    monkeypatch.setattr(transport, "CA_FILE", str(ca_file))
    addresses["receiver.example"] = ["127.0.0.1"]
    context = server_context(make("Receiver", intermediate(), hosts=("receiver.example",)), intermediate())
    with Receiver(tls=context) as receiver:
        answer = call(request(receiver.url.replace("127.0.0.1", "receiver.example")))
        wrong = call(request(receiver.url))
    assert (answer.http_status, answer.remote_address) == (204, "127.0.0.1")
    assert answer.phases.tls_ms is not None
    assert wrong.error == Attempt.Error.TLS
    assert meaning_of(wrong).startswith("The certificate of the receiver is for another host.")
    assert b"Wink-Version" not in b"".join(request.body for request in proxy.requests)


def test_the_proxy_is_asked_for_an_address_that_was_checked_and_no_name(
    proxy: Receiver, addresses: dict[str, list[str]], receiver: Receiver
) -> None:
    addresses["receiver.example"] = ["::1", "127.0.0.1"]
    answer = call(request(f"http://receiver.example:{receiver.port}/"))
    assert (answer.http_status, answer.remote_address) == (204, "127.0.0.1")
    assert [asked.path for asked in proxy.requests] == [f"127.0.0.1:{receiver.port}"]
    assert receiver.requests[0].header("Host") == f"receiver.example:{receiver.port}"


def test_it_is_asked_for_ipv6_where_there_is_nothing_else(proxy: Receiver, addresses: dict[str, list[str]]) -> None:
    addresses["receiver.example"] = ["::1"]
    with Receiver(host="::1") as receiver:
        answer = call(request(f"http://receiver.example:{receiver.port}/"))
    assert (answer.http_status, answer.remote_address) == (204, "::1")
    assert [asked.path for asked in proxy.requests] == [f"[::1]:{receiver.port}"]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "inside.example", "mixed.example"])
def test_what_is_inside_is_refused_before_the_proxy_is_asked(
    proxy: Receiver, addresses: dict[str, list[str]], receiver: Receiver, settings: Settings, host: str
) -> None:
    # The proxy itself is on the inside, and is reached all the same.
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    addresses["inside.example"] = ["127.0.0.1"]
    addresses["mixed.example"] = ["93.184.216.34", "10.0.0.1"]
    answer = call(request(f"http://{host}:{receiver.port}/"))
    assert (answer.http_status, answer.error) == (None, Attempt.Error.ADDRESS_REFUSED)
    assert (proxy.connections, receiver.connections) == (0, 0)


def test_a_name_that_has_moved_inside_is_refused_over_a_kept_connection_too(
    proxy: Receiver, addresses: dict[str, list[str]], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "KEEP_SECONDS", 0)
    sender: Transport[None] = Transport(1)
    answers = []
    for address in ("127.0.0.1", "127.0.0.1", "169.254.169.254"):
        addresses["moving.example"] = [address]
        answers.append(send(sender, f"http://moving.example:{receiver.port}/"))
    sender.close()
    assert [answer.error for answer in answers] == ["", "", Attempt.Error.ADDRESS_REFUSED]
    assert [answer.remote_address for answer in answers] == ["127.0.0.1", "127.0.0.1", None]
    assert (len(receiver.requests), len(proxy.requests)) == (2, 1)


def test_a_name_that_has_moved_elsewhere_gets_another_tunnel(
    proxy: Receiver, addresses: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "KEEP_SECONDS", 0)
    sender: Transport[None] = Transport(2)
    with Receiver() as receiver:
        for address in ("127.0.0.1", "::1"):
            addresses["moving.example"] = [address]
            send(sender, f"http://moving.example:{receiver.port}/")
    sender.close()
    assert [asked.path.rpartition(":")[0] for asked in proxy.requests] == ["127.0.0.1", "[::1]"]


def test_it_may_have_a_name_on_the_inside(
    proxy: Receiver, addresses: dict[str, list[str]], receiver: Receiver, settings: Settings
) -> None:
    addresses["proxy.internal"] = ["127.0.0.1"]
    settings.WEBHOOK_PROXY = f"http://proxy.internal:{proxy.port}"
    assert call(request(receiver.url)).http_status == 204
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY", "no_proxy"])
def test_the_environment_changes_nothing(
    proxy: Receiver, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with closed_port() as port:
        monkeypatch.setenv(variable, "*" if variable == "no_proxy" else f"http://127.0.0.1:{port}")
        assert call(request(receiver.url)).http_status == 204
    assert len(proxy.requests) == 1


class TestWhatFails:
    """The proxy's failures are told apart from the receiver's, and nobody is told where it is."""

    def assert_proxy_is_blamed(self, answer: Answer) -> None:
        assert (answer.http_status, answer.error) == (None, Attempt.Error.CONNECT)
        assert answer.error_text == transport.PROXY_FAILED
        assert answer.remote_address is None
        assert title_of(answer) == "The proxy of the portal failed"
        assert meaning_of(answer).startswith("The request did not get past the portal's own proxy.")

    def test_a_proxy_that_is_down(self, settings: Settings, receiver: Receiver) -> None:
        with closed_port() as port:
            settings.WEBHOOK_PROXY = f"http://127.0.0.1:{port}"
            self.assert_proxy_is_blamed(call(request(receiver.url)))
        assert receiver.connections == 0

    def test_a_proxy_whose_name_stands_for_nothing(
        self, settings: Settings, receiver: Receiver, addresses: dict[str, list[str]]
    ) -> None:
        settings.WEBHOOK_PROXY = "http://proxy.internal:3128"
        answer = call(request(receiver.url))
        assert "proxy.internal" not in str(answer)
        self.assert_proxy_is_blamed(answer)

    @pytest.mark.parametrize(
        "breaking", [receivers.close_without_answer, receivers.reset_after_reading, receivers.not_http]
    )
    def test_a_proxy_that_breaks_off(self, proxy: Receiver, receiver: Receiver, breaking: receivers.Answer) -> None:
        proxy.answer_with(breaking)
        self.assert_proxy_is_blamed(call(request(receiver.url)))

    def test_a_proxy_that_breaks_off_later(self, proxy: Receiver) -> None:
        proxy.answer_with(tunnel, receivers.close_without_answer)
        with Receiver(status(200, headers=[("Connection", "close")])) as receiver:
            sender: Transport[None] = Transport(1)
            answers = [send(sender, receiver.url) for _ in range(2)]
            sender.close()
        assert answers[0].http_status == 200
        self.assert_proxy_is_blamed(answers[1])

    def test_a_url_that_cannot_be_called(self, proxy: Receiver, receiver: Receiver, settings: Settings) -> None:
        settings.WEBHOOK_REQUIRE_HTTPS = True
        assert call(request(receiver.url)).error == Attempt.Error.REQUEST
        assert call(request("ftp://127.0.0.1/")).error == Attempt.Error.REQUEST
        assert proxy.connections == 0

    @pytest.mark.parametrize("code", [403, 407, 429])
    def test_a_proxy_that_refuses(self, proxy: Receiver, receiver: Receiver, code: int) -> None:
        proxy.answer_with(status(code, headers=[("X-Proxy", "inside")], body=b"inside"))
        answer = call(request(receiver.url))
        assert (answer.http_status, answer.error) == (None, Attempt.Error.CONNECT)
        assert (answer.error_text, answer.remote_address) == (transport.PROXY_REFUSED, None)
        assert (answer.headers, answer.snippet) == ((), b"")
        assert title_of(answer) == "The proxy of the portal refused the connection"
        assert "operator" in meaning_of(answer)

    @pytest.mark.parametrize("code", [502, 503, 504])
    def test_a_receiver_that_is_down(self, proxy: Receiver, receiver: Receiver, code: int) -> None:
        proxy.answer_with(status(code))
        answer = call(request(receiver.url))
        assert (answer.http_status, answer.error) == (None, Attempt.Error.CONNECT)
        assert answer.error_text == transport.PROXY_REACHED_NOBODY
        assert title_of(answer) == "No connection"
        assert meaning_of(answer).startswith("Nothing accepted a connection at this address and port.")

    def test_a_receiver_that_nobody_reaches_in_time(
        self, proxy: Receiver, receiver: Receiver, settings: Settings
    ) -> None:
        settings.WEBHOOK_TIMEOUT_SECONDS = 0.5
        proxy.answer_with(receivers.hang)
        answer = call(request(receiver.url))
        assert answer.error == Attempt.Error.TIMEOUT
        assert (answer.phases.tls_ms, answer.phases.wait_ms) == (None, None)
        assert meaning_of(answer).startswith("There was no connection in time.")

    def test_a_receiver_that_breaks_off(self, proxy: Receiver) -> None:
        with Receiver(status(204), receivers.close_without_answer) as receiver:
            sender: Transport[None] = Transport(1)
            answers = [send(sender, receiver.url) for _ in range(2)]
            sender.close()
        assert [answer.error for answer in answers] == ["", Attempt.Error.RESET]
        assert answers[1].remote_address == "127.0.0.1"

    def test_headers_of_the_proxy_without_end(self, proxy: Receiver, receiver: Receiver) -> None:
        def endless(connection: Connection) -> None:
            connection.read_request()
            connection.send(head(200)[:-2])
            while True:
                connection.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")

        proxy.answer_with(endless)
        answer = call(request(receiver.url))
        assert answer.http_status is None
        assert receiver.connections == 0
