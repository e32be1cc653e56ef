import ipaddress
import socket
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from webhooks.engine import guard, names

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


@pytest.fixture(autouse=True)
def forget_names() -> None:
    names.forget()


def test_a_name_is_no_address_in_any_spelling_of_a_number() -> None:
    for url in ("http://256.1.1.1/", "http://1.2.3.4.5/", "http://09.1.1.1/", "http://a.1/"):
        with pytest.raises(guard.Refused):
            guard.check_url(url)


@given(st.integers(0, 2**32 - 1))
def test_every_spelling_of_an_ipv4_address_is_the_same(number: int) -> None:
    plain = str(ipaddress.IPv4Address(number))
    first, rest = number >> 24, number & 0xFFFFFF
    octets = plain.split(".")
    spellings = [
        plain, f"{plain}.", f"{number}", f"{number:#x}", f"0{number:o}", f"{first}.{rest}", f"{first:#x}.{rest:#x}",
        f"0{first:o}.0{rest:o}", ".".join(f"{int(octet):#x}" for octet in octets),
        ".".join(f"0{int(octet):o}" for octet in octets), f"{octets[0]}.{octets[1]}.{number & 0xFFFF}",
    ]  # fmt: skip
    for host in spellings:
        assert guard.target_of(f"https://{host}/") == (plain, 443, True, f"https://{plain}/")


@given(st.integers(0, 2**32 - 1))
def test_what_carries_an_address_is_judged_by_it(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    inverted = ~number & 0xFFFFFFFF
    carriers = [f"::ffff:{inner}", f"64:ff9b::{inner}", str(ipaddress.IPv6Address(0x2002 << 112 | number << 80))]
    carriers.append(str(ipaddress.IPv6Address(0x20010000 << 96 | 0x08080808 << 64 | inverted)))
    carriers.append(f"2a00:1450::5efe:{inner}")
    for carrier in carriers:
        assert guard.allows(carrier) == guard.allows(str(inner)), carrier


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_never_allowed(address: guard.Address) -> None:
    assert not (guard.allows(str(address)) and address.is_private)


@pytest.mark.parametrize(
    "url",
    [
        "https://a@example.com/", "https://example.com\\@10.0.0.1/", "https://example.com:0/", "https://example.com:65536/",
        "https://ex ample.com/", "https://example.com/\r\n", "//example.com/", "https://ex%61mple.com/", "https://é.com/",
        "https://\u212a.com/", "https://\u017f.com/", "https://\u0130.com/", "https://\u0131.com/", "http\u017f://a.com/",
    ],
)  # fmt: skip
def test_what_two_readers_may_read_differently_is_not_called(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        guard.target_of(url)


def test_ports_are_those_of_the_settings(settings: Settings) -> None:
    assert [port for port in (22, 25, 80, 443, 1023, 1024, 65535) if guard.allows_port(port)] == [80, 443, 1024, 65535]
    with pytest.raises(guard.RefusedPort):
        guard.target_of("https://example.com:22/")
    settings.WEBHOOK_ALLOWED_PORTS = [range(22, 23)]
    assert guard.target_of("https://example.com:22/").port == 22


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
    answered = threading.Event()

    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        answered.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(guard, "LOOK_UP_SECONDS", 0.05)
    started = time.monotonic()
    guard.check_url("https://hanging.example/")
    seconds = time.monotonic() - started
    answered.set()
    assert seconds < 10
