import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from webhooks.engine import guard

REFUSED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
    "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1", "::ffff:0:127.0.0.1", "::ffff:0:10.0.0.1", "3fff::1", "3fff:fff::1", "5f00::1", "5f00:ffff::1",
    "", "localhost", "1.2.3", "example.com",
]  # fmt: skip
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::808:808",
    "2606:4700:4700::1111",
]


@pytest.mark.parametrize("address", REFUSED)
def test_it_refuses(address: str) -> None:
    assert not guard.allows(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_it_allows(address: str) -> None:
    assert guard.allows(address)


def test_it_allows_what_the_settings_name(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("10.1.0.0/16")]
    assert guard.allows("10.1.2.3")
    assert guard.allows("::ffff:10.1.2.3")
    assert not guard.allows("10.2.2.3")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost:8000/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/",
        "http://0177.0.0.1/", "http://127.1/", "http://10.0.0.1/", "https://169.254.169.254/latest/", "http:///",
    ],
)  # fmt: skip
def test_check_url_refuses(url: str) -> None:
    with pytest.raises(guard.Refused):
        guard.check_url(url)


def test_check_url_passes_public_addresses() -> None:
    guard.check_url("https://93.184.216.34/webhook")
    guard.check_url("https://[2606:4700:4700::1111]:8443/webhook")


def answers(*addresses: str) -> Any:
    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    return getaddrinfo


def test_check_url_refuses_a_name_with_any_refused_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("93.184.216.34", "10.0.0.1"))
    with pytest.raises(guard.Refused):
        guard.check_url("https://mixed.example/")


def test_check_url_passes_a_name_with_public_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("93.184.216.34", "1.1.1.1"))
    guard.check_url("https://public.example/")


def test_check_url_passes_a_name_that_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    guard.check_url("https://nowhere.example/")


def test_check_url_does_not_wait_for_a_name_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        time.sleep(1)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(guard, "LOOK_UP_SECONDS", 0.05)
    started = time.monotonic()
    guard.check_url("https://hanging.example/")
    assert time.monotonic() - started < 0.8


def join_look_ups() -> None:
    for thread in threading.enumerate():
        if thread.name.endswith("(look_up)"):
            thread.join(10)
            assert not thread.is_alive()


class TestManyNamesThatHang:
    """The name server answers once `answered` is set; two look-ups may be under way."""

    @pytest.fixture
    def answered(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        # Those of other tests count elsewhere.
        join_look_ups()
        answered = threading.Event()

        def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
            answered.wait(10)
            return answers("10.0.0.1")()  # type: ignore[no-any-return]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(guard, "LOOK_UP_SECONDS", 0.05)
        monkeypatch.setattr(guard, "_look_ups", threading.BoundedSemaphore(2))
        yield answered
        answered.set()
        join_look_ups()

    def test_no_more_threads_are_started_than_may_hang(self, answered: threading.Event) -> None:
        before = threading.active_count()
        for number in range(5):
            guard.check_url(f"https://hanging{number}.example/")
        assert threading.active_count() == before + 2

    def test_look_ups_begin_again_when_those_have_ended(self, answered: threading.Event) -> None:
        for number in range(3):
            guard.check_url(f"https://hanging{number}.example/")
        answered.set()
        join_look_ups()
        with pytest.raises(guard.Refused):
            guard.check_url("https://inner.example/")
