"""Which addresses a user's URL may reach.

`refusal` decides on an address, `target_of` on what else a URL says; `check_url` asks both early, for a form, of what
the host name stands for at that moment. `transport` asks them of all that it connects to.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from webhooks.engine import names

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What may not be called, and why. The first network that holds an address gives the reason, so that a part of another
# stands before it. Not asked of the standard library: what it calls global changes from one version to the next.
_POLICY = (
    # Cloud metadata: the keys of the machine for whoever asks.
    ("169.254.169.254/32", "metadata of AWS, Google Cloud, Azure, Oracle, DigitalOcean, OpenStack and others"),
    ("169.254.170.2/32", "metadata of tasks on AWS ECS"),
    ("169.254.170.23/32", "credentials of pods on AWS EKS"),
    ("169.254.0.23/32", "metadata of Tencent Cloud"),
    ("169.254.42.42/32", "metadata of Scaleway"),
    ("100.100.100.200/32", "metadata of Alibaba Cloud"),
    ("100.96.0.96/32", "metadata of Volcengine"),
    ("168.63.129.16/32", "platform services of Azure, although the address looks public"),
    ("192.0.0.192/32", "metadata of Oracle Cloud's older regions"),
    ("fd00:ec2::254/128", "metadata of AWS"),
    ("fd00:ec2::23/128", "credentials of pods on AWS EKS"),
    ("fd20:ce::254/128", "metadata of Google Cloud"),
    ("fd00:c1::a9fe:a9fe/128", "metadata of Oracle Cloud"),
    ("fd00:42::42/128", "metadata of Scaleway"),
    ("fe80::a9fe:a9fe/128", "metadata of OpenStack"),
    # IPv4
    ("0.0.0.0/32", "unspecified: this machine, to most systems"),
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier NAT: private to a provider, and to some clouds"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112, a sink that networks run inside"),
    ("192.52.193.0/24", "multicast relays, which networks run inside"),
    ("192.88.99.0/24", "6to4 relays, withdrawn"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "AS112, a sink that networks run inside"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
    # IPv6
    ("::/128", "unspecified: this machine, to most systems"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "NAT64 for local use: what it leads to, nobody outside can tell"),
    ("100::/64", "discarded by routers"),
    ("100:0:0:1::/64", "dummy addresses"),
    ("2001:2::/48", "benchmarking"),
    ("2001:db8::/32", "documentation"),
    ("2001::/23", "protocol assignments"),
    ("2620:4f:8000::/48", "AS112, a sink that networks run inside"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing, inside of one network"),
    ("fc00::/7", "unique-local: private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local: private, withdrawn but still routed inside some networks"),
    ("ff00::/8", "multicast"),
    # All that is public so far lies in 2000::/3; the rest of IPv6 is not assigned.
    ("::/3", "reserved"),
    ("4000::/2", "reserved"),
    ("8000::/1", "reserved"),
)
REFUSED_NETWORKS = [(ipaddress.ip_network(text), reason) for text, reason in _POLICY]

# IPv6 addresses that carry IPv4 addresses are judged by those: the name, and the shifts at which they stand.
_CARRIERS = [
    (ipaddress.IPv6Network("::ffff:0:0/96"), "IPv4-mapped", (0,)),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), "IPv4-translated", (0,)),
    (ipaddress.IPv6Network("::/96"), "IPv4-compatible, withdrawn", (0,)),
    (ipaddress.IPv6Network("64:ff9b::/96"), "NAT64", (0,)),
    (ipaddress.IPv6Network("2002::/16"), "6to4", (80,)),
]
# Teredo names the server, and the client with all its bits inverted.
_TEREDO = ipaddress.IPv6Network("2001::/32")
# ISATAP may stand behind any prefix: the lower half is 0:5efe or 200:5efe, and the IPv4 address.
_ISATAP = (0x00005EFE, 0x02005EFE)

# How long a form waits for what a name stands for.
LOOK_UP_SECONDS = 2.0

# The URLs that are called: what `webhook_url` stores. Of others, two readers may make two different hosts.
_CALLABLE = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<ipv6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}))(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?][!-~]*)?",
    # Without ASCII, [a-z] has four letters of other scripts as well, of which libcurl makes a host of its own.
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Refused(Exception):
    """The URL names an address that may not be called."""


class RefusedPort(Refused):
    """The URL names a port that may not be called."""


class Target(NamedTuple):
    """Whom a URL calls: a name, or an address in its plain form; and the URL with its host in that form."""

    host: str
    port: int
    is_address: bool
    url: str


# Addresses


def allows(text: str) -> bool:
    """Say whether a connection to the IP address `text` is allowed."""
    return not refusal(text)


def allows_all(addresses: Sequence[str]) -> bool:
    """Say whether a name may be called that stands for `addresses`: not where one of them may not be."""
    return not any(map(refusal, addresses))


# Reading an address takes ten times as long as looking up what was found.
@lru_cache(maxsize=4096)
def refusal(text: str) -> str:
    """Return why the IP address `text` may not be called; an empty text where it may.

    The reason is for the operator: whoever may choose names must not read what they stand for inside.
    """
    if "%" in text:
        return "zone: an interface of this machine"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "no address"
    return _refusal(address)


def _refusal(address: Address) -> str:
    if any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
        return ""
    if isinstance(address, ipaddress.IPv6Address) and int(address) > 1:
        carrier, carried, prefix_counts = _carried_by(address)
        for inner in carried:
            if reason := _refusal(inner):
                return f"{carrier}: {reason}"
        if carried and not prefix_counts:
            return ""
    return next((reason for network, reason in REFUSED_NETWORKS if address in network), "")


def _carried_by(address: ipaddress.IPv6Address) -> tuple[str, list[ipaddress.IPv4Address], bool]:
    """Return how `address` carries which IPv4 addresses, and whether what is around them counts as well."""
    number = int(address)
    for network, name, shifts in _CARRIERS:
        if address in network:
            return name, [ipaddress.IPv4Address(number >> shift & 0xFFFFFFFF) for shift in shifts], False
    if address in _TEREDO:
        server, client = number >> 64 & 0xFFFFFFFF, ~number & 0xFFFFFFFF
        return "Teredo", [ipaddress.IPv4Address(server), ipaddress.IPv4Address(client)], False
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        return "ISATAP", [ipaddress.IPv4Address(number & 0xFFFFFFFF)], True
    return "", [], False


# URLs


def allows_port(port: int) -> bool:
    return any(port in ports for ports in settings.WEBHOOK_ALLOWED_PORTS)


@lru_cache(maxsize=4096)
def target_of(url: str) -> Target:
    """Return whom `url` calls.

    Raises RefusedPort, or ValueError where it is not of the form in which URLs are stored.
    """
    match = _CALLABLE.fullmatch(url)
    if match is None:
        raise ValueError("The URL is not one that can be called.")
    default = 443 if match["scheme"].lower() == "https" else 80
    port = int(match["port"]) if match["port"] else default
    if not 0 < port < 65536:
        raise ValueError("The URL has no valid port.")
    if not allows_port(port):
        raise RefusedPort(f"Port {port} may not be called.")
    address = _address_in(match["ipv6"], match["name"])
    host = address or match["name"].lower()
    start, end = match.span("ipv6" if match["ipv6"] else "name")
    return Target(host, port, bool(address), url[:start] + host + url[end:])


def _address_in(ipv6: str | None, name: str) -> str:
    """Return the address that a host is, as libcurl reads it; an empty text where it is a name.

    Raises ValueError where it is neither.
    """
    if ipv6:
        # Not as Python writes it, which has two ways for those that carry IPv4 addresses.
        return socket.inet_ntop(socket.AF_INET6, ipaddress.IPv6Address(ipv6).packed)
    if _NUMBER.fullmatch(name.lower().removesuffix(".").rpartition(".")[2]):
        try:
            return socket.inet_ntoa(socket.inet_aton(name.removesuffix(".")))
        except OSError:
            raise ValueError("The host is no address, although it ends in a number.") from None
    return ""


def check_url(url: str) -> None:
    """Raise Refused where the host of `url` is, or stands for, an address that may not be called, or its port may not.

    A name that cannot be looked up within two seconds passes: the decision that counts falls at connect time. So who
    asks learns whether a name stands for an address that may not be called, but not for which.
    """
    try:
        target = target_of(url)
    except ValueError:
        raise Refused from None
    # With the dot that ends an absolute name, some resolvers do not know this machine's own ones, such as localhost.
    name = target.host.removesuffix(".")
    addresses = [target.host] if target.is_address else names.wait_for(name, LOOK_UP_SECONDS)
    if not allows_all(addresses):
        raise Refused


@receiver(setting_changed)
def _forget_decisions(*, setting: str, **kwargs: Any) -> None:
    if setting == "WEBHOOK_ALLOWED_NETWORKS":
        refusal.cache_clear()
    if setting == "WEBHOOK_ALLOWED_PORTS":
        target_of.cache_clear()
