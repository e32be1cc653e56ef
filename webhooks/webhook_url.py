"""Which URLs a webhook may have, and the form in which they are stored: ASCII, as libcurl wants them."""

import ipaddress
import re
import string
import unicodedata
from urllib.parse import SplitResult, quote, urlsplit

import idna
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from webhooks.engine import guard

MAX_LENGTH = 2048

_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# A label may have an underscore: names of hosts must not, but some that are in use do.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def clean_webhook_url(text: str) -> str:
    """Return `text` as a URL to store; raise ValidationError with a sentence that says what is wrong with it.

    It looks up the host's name, so hold no transaction meanwhile.
    """
    _check_characters(text)
    parts = _split(text)
    url = f"{parts.scheme}://{_ascii_authority(parts)}{_ascii_rest(parts)}"
    _check_length(url)
    try:
        guard.check_url(url)
    except guard.Refused:
        # The sentence is the same for every address, and tells none. That the name of an inner host stands for one is
        # told all the same: another name would pass.
        raise ValidationError(
            _("Events cannot be sent to this host: it is not on the public internet."), code="refused"
        ) from None
    return url


def _check_length(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ValidationError(
            _("The URL is %(length)d characters long; at most %(limit)d are possible."),
            code="too_long",
            params={"length": len(text), "limit": MAX_LENGTH},
        )


def _check_characters(text: str) -> None:
    # urlsplit() leaves some of them out silently: libcurl would call another URL than the one that was checked.
    if "\\" in text or any(unicodedata.category(character)[0] in "ZC" for character in text):
        raise ValidationError(
            _("The URL must not contain spaces, backslashes or control characters."), code="characters"
        )
    _check_length(text)


def _split(text: str) -> SplitResult:
    if not _ABSOLUTE.match(text):
        raise ValidationError(_("Enter the whole URL, as in https://my.system.com/webhook/wink."), code="not_absolute")
    scheme = text.partition(":")[0].lower()
    if settings.WEBHOOK_REQUIRE_HTTPS and scheme != "https":
        raise ValidationError(_("The URL must begin with https://."), code="scheme")
    if scheme not in {"https", "http"}:
        raise ValidationError(_("The URL must begin with https:// or http://."), code="scheme")
    if "#" in text:
        raise ValidationError(
            _("The URL must not contain a fragment, which is the part that begins with #."), code="fragment"
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise _invalid_host(text.split("/")[2]) from None
    if "@" in parts.netloc:
        raise ValidationError(_("The URL must not contain a user name or a password."), code="user")
    return parts


def _ascii_authority(parts: SplitResult) -> str:
    if not parts.hostname:
        raise ValidationError(_("The URL has no host name, such as my.system.com."), code="no_host")
    host = f"[{_ipv6_address(parts.hostname)}]" if "[" in parts.netloc else _ascii_host(parts.hostname)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValidationError(_("The port in the URL must be a number from 1 to 65535."), code="port")
    called = port or (443 if parts.scheme == "https" else 80)
    if not guard.allows_port(called):
        raise ValidationError(
            _("Events cannot be sent to port %(port)s."), code="refused_port", params={"port": str(called)}
        )
    return host if port is None else f"{host}:{port}"


def _ascii_host(host: str) -> str:
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        raise _invalid_host(host) from None
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid_host(host)
    # A name that ends in a number is an address to libcurl, in any of its spellings: 127.1, 0x7f000001, 017700000001.
    if _NUMBER.fullmatch(labels[-1]):
        return str(_ipv4_address(name))
    return name


def _ipv4_address(host: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        raise _invalid_host(host) from None


def _ipv6_address(host: str) -> ipaddress.IPv6Address:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise _invalid_host(host) from None
    # The zone names an interface of this machine.
    if address.scope_id is not None:
        raise _invalid_host(host)
    return address


def _ascii_rest(parts: SplitResult) -> str:
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    return quote(rest, safe=string.punctuation)


def _invalid_host(host: str) -> ValidationError:
    return ValidationError(_("“%(host)s” is not a valid host name."), code="host", params={"host": host})
