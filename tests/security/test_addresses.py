"""No spelling of an address on the inside reaches anything there, through the form or where requests are sent."""

import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from webhooks.engine import guard
from webhooks.engine.transport import Request, Transport
from webhooks.models import Attempt
from webhooks.webhook_url import clean_webhook_url

FOLDER = Path(__file__).parent
AT_ONCE = 50
# Some are names that stand for nothing.
REFUSALS = {Attempt.Error.ADDRESS_REFUSED, Attempt.Error.REQUEST, Attempt.Error.NAME}


def lines_of(name: str) -> list[str]:
    return [line for line in (FOLDER / name).read_text().splitlines() if line and not line.startswith("#")]


def refused_urls(port: int) -> list[str]:
    urls = [line.partition("\t")[0] for line in lines_of("refused_urls.txt")]
    escapes = {r"\t": "\t", r"\r": "\r", r"\n": "\n"}
    for escape, character in escapes.items():
        urls = [url.replace(escape, character) for url in urls]
    return [url.replace("{port}", str(port)) for url in urls]


def allowed_urls(port: int) -> list[str]:
    return [line.replace("{port}", str(port)) for line in lines_of("allowed_urls.txt")]


class Canary:
    """Listens on all addresses of this machine, IPv4 and IPv6, and counts who comes."""

    def __init__(self) -> None:
        self.visitors: list[str] = []
        # The one socket takes both kinds.
        self._socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, (host, *_) = self._socket.accept()
            except OSError:
                return
            self.visitors.append(host)
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


@pytest.fixture(autouse=True)
def as_in_production(settings: Settings) -> None:
    """Allow http besides, so that it is never the scheme alone that is refused."""
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    settings.WEBHOOK_REQUIRE_HTTPS = False


def answers_of(urls: list[str]) -> dict[str, str]:
    """Send a request to each, as the engine does, and return what came of it: a status or an error."""
    transport: Transport[str] = Transport(AT_ONCE)
    waiting, answers = list(urls), {}
    while waiting or transport.in_flight:
        while waiting and transport.free:
            url = waiting.pop()
            transport.start(Request(url, [], b"{}"), url)
        for url, answer in transport.finished(0.1):
            answers[url] = str(answer.http_status or answer.error)
    transport.close()
    return answers


def is_taken(url: str) -> bool:
    try:
        clean_webhook_url(url)
    except ValidationError:
        return False
    return True


def test_there_are_enough() -> None:
    assert len(set(lines_of("refused_urls.txt"))) >= 300
    assert len(set(lines_of("allowed_urls.txt"))) >= 50


def test_the_canary_counts_who_comes(canary: Canary, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("::1")]
    answers_of([f"http://127.0.0.1:{canary.port}/", f"http://[::1]:{canary.port}/"])
    assert sorted(canary.visitors) == ["::1", "::ffff:127.0.0.1"]


def test_none_is_connected_to(canary: Canary) -> None:
    answers = answers_of(refused_urls(canary.port))

    assert {url: answer for url, answer in answers.items() if answer not in REFUSALS} == {}
    assert canary.visitors == []


def test_what_the_form_would_store_is_not_connected_to_either(canary: Canary) -> None:
    """What people type becomes ASCII in the form: that is what is called, and it must not be something else."""
    assert [url for url in refused_urls(canary.port) if is_taken(url)] == []
    assert canary.visitors == []


def test_public_ones_may_be_called(canary: Canary) -> None:
    urls = allowed_urls(canary.port)

    assert [url for url in urls if not guard.allows(guard.target_of(url).host)] == []
