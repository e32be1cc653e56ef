"""Nothing on the inside is reached, in a network in which all of it would answer, by whatever way a URL comes."""

import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest

from tests.security import inside, ways_in
from tests.security.internet import Internet
from tests.security.test_addresses import REFUSALS, allowed_urls, lines_of, refused_urls
from webhooks.engine import guard

PORT = 8080
PUBLIC = "93.184.216.34"
PUBLIC_IPV6 = "2606:4700:4700::1111"
INSIDE = ["10.0.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "192.168.1.1", "::1", "fd00::1"]
MOVING = f"http://moving.example:{PORT}/"
SENTENCE = "Events cannot be sent to this host: it is not on the public internet."
# What goes through the slower ways in, by the reasons in the corpus: each kind of address, of spelling and of trick.
# They are no more than the recoveries that one person may start in an hour.
CHOSEN = {
    "loopback, dotted",
    "loopback, decimal",
    "loopback, dotted octal",
    "private, two parts",
    "private, IPv4-mapped, dotted",
    "metadata, upper-case hexadecimal",
    "metadata, NAT64, dotted",
    "metadata, 6to4",
    "metadata, ISATAP, global",
    "unspecified, dotted",
    "carrier NAT",
    "link-local",
    "unique-local",
    "zone",
    "a name of this machine",
    "circled digits",
    "user info",
    "backslash",
    "another scheme",
    "a port that may not be called",
}

Form = Callable[[Sequence[str]], dict[str, list[str]]]
Sender = Callable[[Sequence[str]], dict[str, str]]
FORMS: list[Form] = [ways_in.create, ways_in.update]
SENDERS: list[Sender] = [ways_in.test_events, ways_in.redeliver, ways_in.try_at_once, ways_in.recover]


def url_of(host: str, path: str = "/") -> str:
    return f"http://[{host}]:{PORT}{path}" if ":" in host else f"http://{host}:{PORT}{path}"


def chosen() -> list[str]:
    """Return the first URL of the corpus for each of the reasons."""
    urls: dict[str, str] = {}
    for url, line in zip(refused_urls(PORT), lines_of("refused_urls.txt"), strict=True):
        urls.setdefault(line.partition("\t")[2], url)
    return [urls[reason] for reason in sorted(CHOSEN)]


def visited_hosts(internet: Internet) -> list[str]:
    return sorted({visit.host for visit in internet.call(inside.visits)})


class TestAddresses:
    def test_none_is_connected_to(self, internet: Internet) -> None:
        sent = internet.call(ways_in.send, refused_urls(PORT))

        assert {url: came.outcome for url, came in sent.items() if came.outcome not in REFUSALS} == {}
        assert internet.call(inside.visits) == []

    def test_the_canaries_answer_where_the_guard_is_open(self, internet: Internet) -> None:
        urls = [url for url in refused_urls(PORT) if can_be_connected_to(url)]
        sent = internet.call(ways_in.with_guard_open, ways_in.send, urls)

        assert len(urls) > 230
        assert {url: came.outcome for url, came in sent.items() if came.outcome != "204"} == {}
        assert {host_in(url) for url in urls} <= {*visited_hosts(internet), "0.0.0.0", "::"}

    def test_none_would_be_stored(self, internet: Internet) -> None:
        assert internet.call(ways_in.taken_by_form, refused_urls(PORT)) == {}
        assert internet.call(inside.visits) == []

    def test_public_ones_are_reached(self, internet: Internet) -> None:
        urls = allowed_urls(PORT)
        sent = internet.call(ways_in.send, urls)

        # Who listens there speaks plain http.
        expected = {url: "TLS" if url.startswith("https:") else "204" for url in urls}
        assert {url: came.outcome for url, came in sent.items()} == expected
        assert visited_hosts(internet) == sorted({host_in(url) for url in urls})

    def test_public_ones_are_reached_as_the_form_stores_them(self, internet: Internet) -> None:
        taken = internet.call(ways_in.taken_by_form, allowed_urls(PORT))
        came = internet.call(ways_in.deliver, list(taken.values()))

        assert len(taken) >= 50
        assert set(came.values()) == {"204", "TLS"}
        assert visited_hosts(internet) == sorted({host_in(url) for url in taken})


def can_be_connected_to(url: str) -> bool:
    """Say whether the URL names an address to which a connection can be opened at all."""
    try:
        target = guard.target_of(url)
    except (ValueError, guard.Refused):
        return False
    if not target.is_address:
        return False
    address = ip_address(inside.plain(target.host))
    needs_zone = address.version == 6 and address.is_link_local
    return not (address.is_multicast or needs_zone or str(address) == "255.255.255.255")


def host_in(url: str) -> str:
    """Return the address that the system reads in a URL, in its plain form."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    return inside.plain(str(socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)[0][4][0]))


class TestNames:
    @pytest.mark.parametrize(
        "answers",
        [
            *([address] for address in INSIDE),
            ["0.0.0.0"],
            ["::"],
            ["100.100.100.200"],
            ["fe80::1"],
            ["fec0::1"],
            ["64:ff9b::7f00:1"],
            ["64:ff9b::a9fe:a9fe"],
            ["::ffff:10.0.0.1"],
            ["::10.0.0.1"],
            ["2002:7f00:1::1"],
            ["2001:0:808:808::80ff:fffe"],
            ["2606:4700::5efe:ac10:1"],
            ["255.255.255.255"],
            [PUBLIC, "10.0.0.1"],
            ["10.0.0.1", PUBLIC],
            [PUBLIC, "fd00::1"],
            [PUBLIC_IPV6, "10.0.0.1"],
            [PUBLIC, PUBLIC_IPV6, "::1"],
            # More than a datagram takes.
            [*(f"93.184.216.{number}" for number in range(1, 100)), "192.168.1.1"],
            ["inside.example"],
            [PUBLIC, "inside.example"],
            ["alias.example"],
            ["localhost"],
            ["metadata.google.internal"],
        ],
        ids=lambda answers: f"{answers[0]}..." if len(answers) > 3 else "+".join(answers),
    )
    def test_none_that_stands_for_the_inside_is_called(self, internet: Internet, answers: list[str]) -> None:
        stands_for = {
            "name.example": [answers],
            "inside.example": [["10.0.0.1"]],
            "alias.example": [["inside.example"]],
            "localhost": [["127.0.0.1"]],
            "metadata.google.internal": [["169.254.169.254"]],
        }
        internet.call(inside.answer_with, stands_for)
        url = url_of("name.example")

        assert internet.call(ways_in.send, [url])[url].outcome == "ADDRESS_REFUSED"
        assert internet.call(ways_in.taken_by_form, [url]) == {}
        assert internet.call(inside.visits) == []
        assert internet.call(ways_in.with_guard_open, ways_in.send, [url])[url].outcome in ("204", "CONNECT")

    @pytest.mark.parametrize("name", ["localhost", "database", "DATABASE", "LocalHost"])
    def test_those_of_the_machine_itself_are_not_called(self, internet: Internet, name: str) -> None:
        url = url_of(name)
        assert internet.call(ways_in.send, [url])[url].outcome == "ADDRESS_REFUSED"
        assert internet.call(ways_in.taken_by_form, [url]) == {}
        assert internet.call(inside.visits) == []
        assert internet.call(ways_in.with_guard_open, ways_in.send, [url])[url].outcome == "204"

    def test_those_that_stand_for_public_addresses_are_called(self, internet: Internet) -> None:
        names = {f"public{number}.example": host_in(url) for number, url in enumerate(allowed_urls(PORT))}
        internet.call(inside.answer_with, {name: [[host]] for name, host in names.items()})
        urls = [url_of(name) for name in names]
        taken = internet.call(ways_in.taken_by_form, urls)
        came = internet.call(ways_in.deliver, list(taken.values()))

        assert len(names) >= 50
        assert list(taken) == urls
        assert came == dict.fromkeys(urls, "204")
        assert visited_hosts(internet) == sorted(set(names.values()))

    @pytest.mark.parametrize("name", ["public.example.", "PUBLIC.example", "under_score.example", "alias.example"])
    def test_in_every_spelling(self, internet: Internet, name: str) -> None:
        stands_for = {
            "public.example": [[PUBLIC]],
            "under_score.example": [[PUBLIC]],
            "alias.example": [["public.example"]],
        }
        internet.call(inside.answer_with, stands_for)
        assert internet.call(ways_in.send, [url_of(name)])[url_of(name)].outcome == "204"
        assert visited_hosts(internet) == [PUBLIC]

    def test_one_that_changes_with_each_answer_is_called_only_while_it_is_public(self, internet: Internet) -> None:
        refused = [["10.0.0.1"], ["127.0.0.1"], ["::1"], [PUBLIC, "169.254.169.254"]]
        turns = [turn for inner in refused for turn in ([PUBLIC], inner)]
        turns[2] = [PUBLIC_IPV6]
        internet.call(inside.answer_with, {"rebinding.example": turns})
        came = internet.call(ways_in.send_again_and_again, url_of("rebinding.example"), len(turns))

        assert came == ["204", "ADDRESS_REFUSED"] * 4
        assert visited_hosts(internet) == sorted([PUBLIC, PUBLIC_IPV6])
        # There is no second look-up that could have another answer than the one that was judged.
        assert internet.call(inside.asked) == {"rebinding.example": len(turns)}

    def test_one_that_is_never_answered_holds_up_nothing_but_itself(self, internet: Internet) -> None:
        internet.call(inside.answer_with, {"hanging.example": [None], "public.example": [[PUBLIC]]})
        hanging, healthy = url_of("hanging.example"), url_of("public.example")
        sent = internet.call(ways_in.send, [hanging, healthy])

        assert (sent[healthy].outcome, sent[hanging].outcome) == ("204", "NAME")
        # The deadline of a request is two seconds here; the system would wait for ten.
        assert sent[healthy].seconds < sent[hanging].seconds < 5
        assert sent[healthy].seconds < 1.5
        assert internet.call(ways_in.deliver, [hanging, healthy]) == {hanging: "NAME", healthy: "204"}
        # Nor does the form wait for longer; when it is called, it is looked up again.
        started = time.monotonic()
        assert internet.call(ways_in.taken_by_form, [hanging]) == {hanging: hanging}
        assert time.monotonic() - started < 5
        assert visited_hosts(internet) == [PUBLIC]

    def test_one_that_stands_for_nothing_is_called_nowhere(self, internet: Internet) -> None:
        internet.call(inside.answer_with, {"empty.example": [[]]})
        urls = [url_of("empty.example"), url_of("unknown.example")]
        assert {came.outcome for came in internet.call(ways_in.send, urls).values()} == {"NAME"}
        assert internet.call(inside.visits) == []


class TestRedirects:
    @pytest.mark.parametrize("host", INSIDE)
    def test_none_is_followed(self, internet: Internet, host: str) -> None:
        url = url_of(PUBLIC, f"/?to={url_of(host)}")

        assert internet.call(ways_in.send, [url])[url].outcome == "307"
        assert internet.call(ways_in.with_guard_open, ways_in.send, [url])[url].outcome == "307"
        assert internet.call(ways_in.deliver, [url]) == {url: "307"}
        assert internet.call(ways_in.test_events, [url]) == {url: "307"}
        assert visited_hosts(internet) == [PUBLIC]


class TestWaysIn:
    @pytest.mark.parametrize("way", FORMS)
    def test_no_form_takes_what_leads_inside(self, internet: Internet, way: Form) -> None:
        errors = internet.call(way, chosen())

        assert [url for url, texts in errors.items() if not texts] == []
        assert internet.call(inside.visits) == []

    @pytest.mark.parametrize("way", FORMS)
    def test_a_form_says_the_same_whatever_is_inside(self, internet: Internet, way: Form) -> None:
        names = {f"name{number}.example": [[host]] for number, host in enumerate(INSIDE)}
        internet.call(inside.answer_with, names)
        urls = [url_of(host) for host in (*INSIDE[:4], *names)]

        assert internet.call(way, urls) == {url: [SENTENCE] for url in urls}

    def test_no_event_is_delivered_inside(self, internet: Internet) -> None:
        came = internet.call(ways_in.deliver, refused_urls(PORT))

        assert len(came) == len(set(refused_urls(PORT)))
        assert {url: outcome for url, outcome in came.items() if outcome not in REFUSALS} == {}
        assert internet.call(inside.visits) == []

    @pytest.mark.parametrize("way", SENDERS)
    def test_nothing_else_is_sent_inside(self, internet: Internet, way: Sender) -> None:
        came = internet.call(way, chosen())

        assert {url: outcome for url, outcome in came.items() if outcome not in REFUSALS} == {}
        assert internet.call(inside.visits) == []

    @pytest.mark.parametrize("way", SENDERS)
    def test_all_of_it_would_arrive_where_the_guard_is_open(self, internet: Internet, way: Sender) -> None:
        urls = [url_of(host) for host in INSIDE]

        assert internet.call(ways_in.with_guard_open, way, urls) == dict.fromkeys(urls, "204")
        assert visited_hosts(internet) == sorted(INSIDE)

    @pytest.mark.parametrize("after", [["10.0.0.1"], [PUBLIC, "169.254.169.254"], [PUBLIC, "::1"], ["inside.example"]])
    def test_a_name_that_has_moved_inside_since_it_was_saved_is_not_called(
        self, internet: Internet, after: list[str]
    ) -> None:
        before = {"moving.example": [[PUBLIC]], "inside.example": [["192.168.1.1"]]}
        came = internet.call(ways_in.move_after_saving, MOVING, before, {**before, "moving.example": [after]})

        ways = ("delivery", "test event", "redelivery", "retry", "recovery")
        assert came == {"saved": "204", **dict.fromkeys(ways, "ADDRESS_REFUSED"), "update": SENTENCE}
        assert visited_hosts(internet) == [PUBLIC]

    def test_one_that_has_moved_elsewhere_in_public_is_called_there(self, internet: Internet) -> None:
        before, after = {"moving.example": [[PUBLIC]]}, {"moving.example": [[PUBLIC_IPV6]]}
        came = internet.call(ways_in.move_after_saving, MOVING, before, after)

        assert came == {**dict.fromkeys(came, "204"), "update": ""}
        assert visited_hosts(internet) == sorted([PUBLIC, PUBLIC_IPV6])


def test_the_tap_sees_who_knocks_where_nobody_listens(internet: Internet) -> None:
    urls = [f"http://10.0.0.1:{number}/" for number in (1025, 3306)] + ["http://[fd00::1]:27017/"]
    came = internet.call(ways_in.with_guard_open, ways_in.send, urls)

    assert {sent.outcome for sent in came.values()} == {"CONNECT"}
    assert {(visit.host, visit.port) for visit in internet.call(inside.visits)} == {
        ("10.0.0.1", 1025),
        ("10.0.0.1", 3306),
        ("fd00::1", 27017),
    }
