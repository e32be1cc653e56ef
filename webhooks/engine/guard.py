"""Which addresses a user's URL may reach.

`allows` decides on the address that is being connected to; `check_url` asks it early, for a form, of what the host name
stands for at that moment.
"""

import ipaddress
import socket
from concurrent.futures import Future
from functools import lru_cache
from threading import BoundedSemaphore, Thread
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What `is_global` of the standard library lets through and should not be called all the same.
REFUSED_NETWORKS = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; later Pythons count parts of it as global
        "224.0.0.0/4",  # multicast
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "168.63.129.16/32",  # Azure's platform services, an address that looks public
        "64:ff9b:1::/48",  # NAT64 for local use: what it leads to, nobody outside can tell
        "3fff::/20",  # documentation; Pythons before it was assigned count it as global
        "5f00::/16",  # segment routing, inside of one network
        "fec0::/10",  # site-local, withdrawn but still routed inside some networks
        "ff00::/8",  # multicast
    )
]
# IPv6 addresses that carry an IPv4 address, and the shift at which it stands.
CARRIERS = [
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # translated
    (ipaddress.IPv6Network("::/96"), 0),  # compatible, withdrawn
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
]
LOOK_UP_SECONDS = 2.0
# Each look-up has a thread, which a name server that never answers can hold for long: these are all that may be.
_look_ups = BoundedSemaphore(32)


class Refused(Exception):
    """The URL names an address that may not be called."""


def allows(text: str) -> bool:
    """Say whether a connection to the IP address `text` is allowed."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return _allows_address(address)


@lru_cache(maxsize=4096)
def _allows_address(address: Address) -> bool:
    if any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried_address(address)
        if carried is not None:
            return _allows_address(carried)
    return address.is_global and not any(address in network for network in REFUSED_NETWORKS)


@receiver(setting_changed)
def _forget_decisions(*, setting: str, **kwargs: Any) -> None:
    if setting == "WEBHOOK_ALLOWED_NETWORKS":
        _allows_address.cache_clear()


def _carried_address(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    for network, shift in CARRIERS:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return None


def check_url(url: str) -> None:
    """Raise Refused where the host of `url` is, or stands for, an address that may not be called.

    A name that cannot be looked up within two seconds passes: the decision that counts falls at connect time. So who
    asks learns whether a name stands for an address that may not be called, but not for which.
    """
    host = urlsplit(url).hostname
    if not host or not all(allows(address) for address in _look_up(host)):
        raise Refused


def _look_up(host: str) -> list[str]:
    """Return the addresses of `host`, also of numeric forms such as 0x7f.1; none where the look-up fails or hangs.

    Nor where so many hang already that no further one may begin.
    """
    if not _look_ups.acquire(blocking=False):
        return []
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.set_result([str(answer[4][0]) for answer in answers])
        except (OSError, UnicodeError) as error:
            found.set_exception(error)
        finally:
            _look_ups.release()

    # A thread, since getaddrinfo knows no deadline; a daemon, so that a hanging one does not hold up the exit.
    Thread(target=look_up, daemon=True).start()
    try:
        return found.result(LOOK_UP_SECONDS)
    except (OSError, UnicodeError, TimeoutError):
        return []
