"""The receivers do what their names say, seen by clients of other makers: http.client, ssl and plain sockets."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests import receivers
from tests.receivers import Receiver, status

BODY = b'{"id": 1}'


@pytest.fixture
def client() -> Iterator["Clients"]:
    clients = Clients()
    yield clients
    clients.close()


class Clients:
    def __init__(self) -> None:
        self.opened: list[http.client.HTTPConnection] = []

    def connect(self, receiver: Receiver, timeout: float = 3) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=timeout)
        self.opened.append(connection)
        return connection

    def post(self, receiver: Receiver, timeout: float = 3) -> http.client.HTTPResponse:
        connection = self.connect(receiver, timeout)
        connection.request("POST", "/webhook/wink", BODY, {"Content-Type": "application/json"})
        return connection.getresponse()

    def close(self) -> None:
        for connection in self.opened:
            connection.close()


def test_it_records_the_request_as_it_came(client: Clients) -> None:
    with Receiver() as receiver:
        before = time.monotonic()
        assert client.post(receiver).status == 204

    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/webhook/wink", BODY)
    assert [name for name, _ in request.headers] == ["Host", "Accept-Encoding", "Content-Length", "Content-Type"]
    assert request.header("content-type") == "application/json"
    assert request.header("Wink-Signature") is None
    assert before <= request.at <= time.monotonic()


def test_it_answers_by_script_and_stays_with_the_last_one(client: Clients) -> None:
    with Receiver(status(500, body=b"sorry"), status(200)) as receiver:
        first = client.post(receiver)

        assert (first.status, first.reason, first.read()) == (500, "Internal Server Error", b"sorry")
        assert [client.post(receiver).status for _ in range(2)] == [200, 200]
        receiver.answer_with(status(599))
        assert client.post(receiver).status == 599


def test_it_keeps_the_connection_for_the_next_request(client: Clients) -> None:
    with Receiver(status(200, body=b"ok")) as receiver:
        connection = client.connect(receiver)
        for _ in range(2):
            connection.request("POST", "/", BODY)
            assert connection.getresponse().read() == b"ok"

    assert [request.connection for request in receiver.requests] == [1, 1]


def test_wait_for_fails_when_too_few_requests_come(client: Clients) -> None:
    with Receiver() as receiver:
        client.post(receiver)

        assert len(receiver.wait_for(1)) == 1
        with pytest.raises(AssertionError, match=r"1 of 2 requests came within 0\.1 s\."):
            receiver.wait_for(2, seconds=0.1)


def test_it_counts_what_is_open_at_once(client: Clients) -> None:
    with Receiver(status(200, delay=0.3)) as receiver:
        threads = [threading.Thread(target=client.post, args=(receiver,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert receiver.most_at_once == 3


@pytest.mark.parametrize(
    "when, value",
    [(120, "120"), (datetime(2026, 11, 24, 9, 30, tzinfo=UTC), "Tue, 24 Nov 2026 09:30:00 GMT")],
)
def test_retry_after_has_both_forms(client: Clients, when: int | datetime, value: str) -> None:
    with Receiver(status(503, headers=[receivers.retry_after(when)])) as receiver:
        assert client.post(receiver).headers["Retry-After"] == value


def test_a_delay_holds_up_the_answer(client: Clients) -> None:
    with Receiver(status(200, delay=0.3)) as receiver:
        started = time.monotonic()
        client.post(receiver)

        assert time.monotonic() - started >= 0.3


def test_a_redirect_names_another_place(client: Clients) -> None:
    with Receiver(receivers.redirect("http://127.0.0.1/elsewhere")) as receiver:
        answer = client.post(receiver)

    assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1/elsewhere")


def test_a_large_body_is_streamed(client: Clients) -> None:
    with Receiver(receivers.streamed(50_000_000)) as receiver:
        assert len(client.post(receiver).read()) == 50_000_000


def test_closing_ends_a_stream_that_nobody_reads(client: Clients) -> None:
    with Receiver(receivers.streamed(50_000_000)) as receiver:
        client.post(receiver)
        started = time.monotonic()

    assert time.monotonic() - started < 2


@pytest.mark.parametrize("answer", [receivers.hang, receivers.trickle_headers])
def test_headers_that_never_end_keep_the_client_waiting(client: Clients, answer: receivers.Answer) -> None:
    with Receiver(answer) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=1.5) as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            receiver.wait_for(1)
            with pytest.raises(TimeoutError):
                _read_to_the_end(peer, within=1.5)
        started = time.monotonic()

    assert time.monotonic() - started < 2


def test_a_body_comes_a_byte_a_second(client: Clients) -> None:
    with Receiver(receivers.trickle_body) as receiver:
        answer = client.post(receiver)
        started = time.monotonic()

        assert answer.read(2) == b"xx"
        assert 0.9 < time.monotonic() - started < 2


@pytest.mark.parametrize("answer", [receivers.reset_before_reading, receivers.reset_after_reading])
def test_a_reset_breaks_the_connection(client: Clients, answer: receivers.Answer) -> None:
    with Receiver(answer) as receiver, pytest.raises(ConnectionResetError):
        client.post(receiver)

    assert len(receiver.requests) == (answer is receivers.reset_after_reading)


def test_a_connection_closes_without_an_answer(client: Clients) -> None:
    with Receiver(receivers.close_without_answer) as receiver, pytest.raises(http.client.RemoteDisconnected):
        client.post(receiver)


def test_a_body_breaks_off(client: Clients) -> None:
    with Receiver(receivers.close_within_body) as receiver, pytest.raises(http.client.IncompleteRead):
        client.post(receiver).read()


def test_an_answer_is_not_http(client: Clients) -> None:
    with Receiver(receivers.not_http) as receiver, pytest.raises(http.client.BadStatusLine, match="SSH"):
        client.post(receiver)


def test_headers_are_huge(client: Clients) -> None:
    with Receiver(receivers.huge_headers(50_000)) as receiver:
        headers = client.post(receiver).headers

    assert sum(len(value) for value in headers.values()) >= 50_000


def test_nothing_listens_on_a_closed_port() -> None:
    with receivers.closed_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_tls_is_self_signed() -> None:
    certificate, _ = receivers.self_signed_certificate()
    trusting = ssl.create_default_context(cadata=certificate)
    with Receiver(tls=True) as receiver:
        assert receiver.url.startswith("https://127.0.0.1:")
        for context, trusted in ((ssl.create_default_context(), False), (trusting, True)):
            connection = http.client.HTTPSConnection("127.0.0.1", receiver.port, timeout=3, context=context)
            if trusted:
                connection.request("POST", "/", BODY)
                assert connection.getresponse().status == 204
            else:
                with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
                    connection.request("POST", "/", BODY)
            connection.close()

    assert [request.body for request in receiver.requests] == [BODY]


def test_it_listens_on_ipv6() -> None:
    with Receiver(host="::1") as receiver:
        assert receiver.url.startswith("http://[::1]:")
        connection = http.client.HTTPConnection("::1", receiver.port, timeout=3)
        connection.request("POST", "/", BODY)
        assert connection.getresponse().status == 204
        connection.close()


def _read_to_the_end(peer: socket.socket, within: float) -> None:
    deadline = time.monotonic() + within
    while peer.recv(1000):
        if time.monotonic() > deadline:
            raise TimeoutError
