"""URLs: the form and the guard refuse in their own words or accept; libcurl calls the host that they have judged."""

import re
import zlib
from functools import cache
from ipaddress import IPv4Address, ip_address
from typing import Any
from unittest import mock

import pycurl
from django.core.exceptions import ValidationError
from django.test import override_settings
from ssrfguard import DEFAULT_DENIED

from webhooks.engine import guard, names
from webhooks.engine.transport import Request, _Transfer
from webhooks.webhook_url import MAX_LENGTH, clean_webhook_url

# What URLs are made of, and what has fooled readers of them.
PIECES = (
    *("http://", "https://", "http:", "//", "/", "\\", ":", "@", "#", "?", ".", "..", "-", "_", "%", "[", "]", "[::"),
    *("127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1", "0x7f", "0177", "0", "256", "65536", "::1"),
    *("169.254.169.254", "a9fe:a9fe", "10.0.0.1", "8.8.8.8", "0x08080808", "ffff:", "64:ff9b::", "2002:", "2001:0:"),
    *("5efe:", "fe80::1", "%25lo", "::", "1:2:3:4:5:6:", "2606:4700::1111", "localhost", "example.com", "a.b.", "xn--"),
    *("xn--e1afmkfd", "ä", "ß", "①②⑦", "１", "。", "．", "ⓛ", "\u00ad", "\u200b", "\u0660", "İ", "ſ", "K", "℀", "‥"),
    *(
        ":80",
        ":443",
        ":8080",
        ":0",
        ":22",
        ":65536",
        ":08",
        "%2e",
        "%00",
        "%40",
        "%2f",
        " ",
        "\t",
        "\r\n",
        "\0",
        "a" * 63,
    ),
)


def fuzz(data: bytes) -> None:
    """Take the first byte for how the rest is read: as text, or as numbers of pieces and characters, of a host too."""
    way, rest = data[:1], data[1:]
    text = rest.decode(errors="replace") if way < b"\x80" else "".join(map(_piece, rest))
    if way >= b"\xc0":
        text = f"http://[{text}]/" if way >= b"\xe0" else f"http://{text}/"
    with override_settings(WEBHOOK_REQUIRE_HTTPS=False), mock.patch.multiple(names, known=_known, wait_for=_known):
        check_form(text)
        check_guard(text)


def _piece(number: int) -> str:
    return PIECES[number] if number < len(PIECES) else chr(number & 0x7F)


def check_form(text: str) -> None:
    try:
        url = clean_webhook_url(text)
    except ValidationError as error:
        refusal = error
    else:
        check_stored(url)
        return
    assert len(refusal.messages) == 1
    assert refusal.code


def check_stored(url: str) -> None:
    assert re.fullmatch(r"https?://[!-~]+", url)
    assert len(url) <= MAX_LENGTH
    assert clean_webhook_url(url) == url
    guard.check_url(url)
    target = guard.target_of(url)
    assert target.url == url or ":" in target.host
    assert contacted(url) == (_address_of(target), target.port)


def check_guard(text: str) -> None:
    try:
        target = guard.target_of(text)
    except (ValueError, guard.Refused):
        target = None
    try:
        guard.check_url(text)
    except guard.Refused:
        assert target is None or not guard.allows(target.host)
    else:
        assert target is not None
    if target is not None:
        assert guard.target_of(target.url)[:3] == target[:3]
        assert contacted(text) in (None, (_address_of(target), target.port))


def contacted(url: str) -> tuple[str, int] | None:
    """Return the address and the port that libcurl wants a socket for; None where it wants none."""
    transfer = _transfer()
    transfer.wanted = []
    transfer.prepare(Request(url, [], b""), None)
    try:
        assert transfer.find()
        transfer.curl.perform()
    except guard.Refused:
        # An address is refused in words of its own, before libcurl has it.
        return None
    except pycurl.error as error:
        code, text = error.args
        assert code in (pycurl.E_COULDNT_CONNECT, pycurl.E_URL_MALFORMAT), text
    assert not transfer.refused, "libcurl reads another host than the guard."
    assert len(set(transfer.wanted)) <= 1
    for address, port in transfer.wanted:
        assert guard.allows_port(port)
        # The guard of others, as a second opinion.
        assert not DEFAULT_DENIED.classify(address).blocked
        return str(ip_address(address)), port
    return None


class _Watched(_Transfer[None]):
    """Notes whom libcurl wants to connect to, and lets it not."""

    wanted: list[tuple[str, int]]

    def _open_socket(self, purpose: int, address: Any) -> Any:
        _family, _kind, _protocol, (host, port, *_) = address
        self.wanted.append((host, port))
        return pycurl.SOCKET_BAD


@cache
def _transfer() -> _Watched:
    return _Watched({})


def _known(host: str, seconds: float = 0) -> names.Addresses:
    """Let each name stand for an address of its own, so that no other can be mistaken for it."""
    return (_public_address(host),)


def _public_address(name: str) -> str:
    return str(IPv4Address((11 << 24) + (zlib.crc32(name.encode()) & 0xFFFFFF)))


def _address_of(target: guard.Target) -> str:
    return str(ip_address(target.host)) if target.is_address else _public_address(target.host)
