"""Where our guard and those of others decide differently, the reason stands here."""

import re
from typing import NamedTuple

from drawbridge._validator import PRIVATE_IP_RANGES
from ssrfguard import DEFAULT_DENIED, Reach

from tests.security import other_guards
from tests.security.internet import Internet
from tests.security.other_guards import OURS, Outcome
from tests.security.test_addresses import allowed_urls, lines_of, refused_urls
from webhooks.engine import guard

PORT = 8080
PUBLIC = "93.184.216.34"
NAMES = {
    "public.example": [[PUBLIC]],
    "inside.example": [["10.0.0.1"]],
    "alias.example": [["inside.example"]],
    "mixed.example": [[PUBLIC, "10.0.0.1"]],
    "mixed-ipv6.example": [[PUBLIC, "fd00::1"]],
    "rebinding.example": [[PUBLIC], ["10.0.0.1"]],
}
SSRFGUARD, HTTPX_SECURE, DRAWBRIDGE = "ssrfguard", "httpx-secure", "drawbridge"
ALL = {SSRFGUARD, HTTPX_SECURE, DRAWBRIDGE}
# These two judge what httpx makes of a URL.
ON_HTTPX = {HTTPX_SECURE, DRAWBRIDGE}


class Difference(NamedTuple):
    """Which guards decide otherwise on what fits a pattern (a reason in the corpus, else the URL), and why."""

    guards: set[str]
    theirs: Outcome
    pattern: str
    why: str


# What is said of the standard library holds for Python 3.11; later ones know more, which takes differences away.
LAXER = [
    Difference(
        {HTTPX_SECURE},
        Outcome.KNOCKED,
        r"decimal|hexadecimal|octal|(two|three) parts|a name of this machine|//(inside|alias|mixed)",
        "To learn where a host leads it opens a connection to it, sends nothing, and judges that address. A knock on "
        "an inner door is enough for who scans ports; ours judges before it connects.",
    ),
    Difference(
        {HTTPX_SECURE},
        Outcome.CALLED,
        "//mixed",
        "It judges only the address to which it got a connection first; ours refuses a name with any inner address.",
    ),
    Difference(
        ALL,
        Outcome.CALLED,
        "IPv4-translated",
        "None reads the IPv4 address in ::ffff:0:0:0/96, which translators of IPv6 networks (RFC 7915) do.",
    ),
    Difference(
        ON_HTTPX,
        Outcome.CALLED,
        "IPv4-compatible",
        "They do not read the IPv4 address in ::/96, withdrawn but known to old systems.",
    ),
    Difference(
        {HTTPX_SECURE},
        Outcome.CALLED,
        "6to4$",
        "To the standard library all of 2002::/16 is public, whatever IPv4 address is in it.",
    ),
    Difference(
        ALL,
        Outcome.CALLED,
        "ISATAP",
        "None reads the IPv4 address in the lower half, to which a router with ISATAP sends what it gets.",
    ),
    Difference(
        {HTTPX_SECURE},
        Outcome.CALLED,
        r"(carrier NAT|metadata of Alibaba).*IPv4-mapped",
        "The standard library says of 100.64.0.0/10 that it is not public, but not of the same addresses in IPv6.",
    ),
    Difference(
        ALL,
        Outcome.CALLED,
        "services of Azure",
        "168.63.129.16 is public to all registries, but inside Azure it hands out what machines are to know.",
    ),
    Difference(
        {HTTPX_SECURE},
        Outcome.CALLED,
        "metadata of Oracle|protocol assignments",
        "The standard library knows a few addresses in 192.0.0.0/24 only.",
    ),
    Difference(
        ON_HTTPX,
        Outcome.CALLED,
        "6to4 relays",
        "They do not list 192.88.99.0/24, which is withdrawn: who answers there now, nobody says.",
    ),
    Difference(
        ON_HTTPX,
        Outcome.CALLED,
        "site-local",
        "They do not list fec0::/10: withdrawn, but private where it is still routed.",
    ),
    Difference(
        ON_HTTPX,
        Outcome.CALLED,
        "documentation|segment routing",
        "They do not list 3fff::/20 and 5f00::/16, which came into the registry in 2024.",
    ),
    Difference(
        {HTTPX_SECURE},
        Outcome.CALLED,
        "NAT64 for local use",
        "The standard library calls 64:ff9b:1::/48 public; where an address in it leads is a matter of the network.",
    ),
    Difference(
        ALL,
        Outcome.CALLED,
        "not assigned",
        "They allow what no list refuses; ours refuses IPv6 outside of 2000::/3, of which nothing is assigned.",
    ),
    Difference(
        ON_HTTPX,
        Outcome.CALLED,
        "user info|backslash",
        "They call the host that httpx reads, here a public one; ours calls nothing that another may read differently.",
    ),
    Difference(
        {HTTPX_SECURE}, Outcome.CALLED, "a port that may not", "It has no rule for ports; here somebody listened."
    ),
    Difference(
        {HTTPX_SECURE}, Outcome.KNOCKED, "a port that may not", "It has no rule for ports; here nobody listened."
    ),
    Difference(
        ALL,
        Outcome.CALLED,
        "no port",
        "Python reads +80 and digits of other scripts as numbers, and so do they; ours takes ASCII digits alone.",
    ),
]
STRICTER = [
    Difference(
        ALL,
        Outcome.REFUSED,
        r"//(16843009|8\.8\.2056|8\.526344|010\.010\.010\.010|1\.1\.1\.1\.):",
        "Other spellings of IPv4 addresses they refuse, or take for names that nobody knows. Ours reads them as "
        "libcurl and the system do, and judges the address. The form takes the plain one only.",
    ),
    Difference(
        ON_HTTPX,
        Outcome.REFUSED,
        r"//\[(2002:808|64:ff9b::|2001:0:)",
        "They refuse 6to4, NAT64 and Teredo altogether; ours judges the IPv4 address inside. Networks with IPv6 alone "
        "reach public receivers through NAT64.",
    ),
]


def test_every_difference_has_a_reason(internet: Internet) -> None:
    reasons = {
        url: line.partition("\t")[2] for url, line in zip(refused_urls(PORT), lines_of("refused_urls.txt"), strict=True)
    }
    names = [f"http://{name}:{PORT}/" for name in NAMES]
    outcomes = internet.call(other_guards.compare, [*reasons, *allowed_urls(PORT), *names], NAMES)

    unexplained, explained = [], set()
    for url, by_guard in outcomes.items():
        ours = by_guard.pop(OURS)
        assert ours in (Outcome.CALLED, Outcome.REFUSED)
        for name, theirs in by_guard.items():
            if theirs == ours:
                continue
            difference = reason_for(name, ours, theirs, reasons.get(url, url))
            if difference is None:
                unexplained.append((name, ours, theirs, url, reasons.get(url)))
            else:
                explained.add(difference.why)
    assert unexplained == []
    # A guard that refuses everything, or calls everything, would not be one.
    assert len(explained) > 10


def reason_for(name: str, ours: Outcome, theirs: Outcome, subject: str) -> Difference | None:
    for difference in LAXER if ours == Outcome.REFUSED else STRICTER:
        if name in difference.guards and theirs == difference.theirs and re.search(difference.pattern, subject):
            return difference
    return None


def test_another_difference_would_fail() -> None:
    assert reason_for(SSRFGUARD, Outcome.REFUSED, Outcome.CALLED, "loopback, dotted") is None
    assert reason_for(DRAWBRIDGE, Outcome.CALLED, Outcome.REFUSED, "http://1.1.1.1:8080/") is None
    assert reason_for(DRAWBRIDGE, Outcome.REFUSED, Outcome.KNOCKED, "loopback, decimal") is None


DENIED = {*PRIVATE_IP_RANGES, *(row.network for row in DEFAULT_DENIED.blocks if row.reach == Reach.DENIED)}


def test_ours_refuses_what_their_tables_refuse() -> None:
    ends = [str(end) for network in DENIED for end in (network[0], network[-1])]

    assert len(DENIED) > 40
    assert [address for address in ends if guard.allows(address)] == []


# What ssrfguard opens within what it refuses, as the registries call it public; and why ours does not.
OPENED = {
    "192.0.0.9/32": "leads to the router of the network itself, and has it open ports",
    "192.0.0.10/32": "leads to the relay of the network itself",
    "192.31.196.0/24": "a sink that networks run inside",
    "192.52.193.0/24": "relays of multicast that networks run inside",
    "192.175.48.0/24": "a sink that networks run inside",
    "2001:1::1/128": "as 192.0.0.9",
    "2001:1::2/128": "as 192.0.0.10",
    "2001:1::3/128": "leads to the directory of services of the network itself",
    "2001:3::/32": "as 192.52.193.0/24",
    "2001:4:112::/48": "as 192.31.196.0/24",
    "2001:20::/28": "names hosts, and is not routed",
    "2001:30::/28": "names drones, and is not routed",
    "2620:4f:8000::/48": "as 192.175.48.0/24",
}


def test_ours_opens_none_of_what_a_registry_calls_public_for_one_purpose() -> None:
    opened = {str(row.network): row.network for row in DEFAULT_DENIED.blocks if row.reach == Reach.PERMITTED}

    assert opened.keys() == OPENED.keys()
    assert [network for network, addresses in opened.items() if guard.allows(str(addresses[0]))] == []
