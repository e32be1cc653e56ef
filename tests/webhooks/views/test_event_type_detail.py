import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import events
from webhooks.models import EventType

pytestmark = pytest.mark.django_db


def url_of(key: str) -> str:
    return reverse("webhooks:event_type_detail", args=[key])


def read(user: User, key: str, language: str = "en") -> str:
    return text_of(client_of(user).get(url_of(key), headers={"accept-language": language}))


def json_on(page: str, id: str) -> Any:
    match = re.search(f'<code id="{id}" translate="no">(.*?)</code></pre>', page, re.DOTALL)
    assert match is not None
    return json.loads(html.unescape(match[1]))


def plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup.replace("</li>", " "))).split())


def rows_on(page: str) -> dict[str, list[str]]:
    """Return the cells of the table of fields, by the path of the field."""
    rows = re.findall(r'<tr role="row">\s*<th scope="row".*?</tr>', page, re.DOTALL)
    cells = [[plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]
    return {path: rest for path, *rest in cells}


def test_it_sends_the_anonymous_to_the_sign_in() -> None:
    url = url_of("booking.created")
    assert Client().get(url).headers["Location"] == f"{reverse('accounts:sign_in')}?next={url}"


@pytest.mark.parametrize("name", ["owner", "manager", "viewer", "stranger"])
def test_whoever_signed_in_may_read_it(name: str, request: pytest.FixtureRequest) -> None:
    page = read(request.getfixturevalue(name), "booking.created")
    assert "<h1>Booking created</h1>" in page
    assert 'data-copy="booking.created"' in page


def test_an_event_that_is_not_in_the_catalogue_is_not_there(owner: User) -> None:
    assert client_of(owner).get(url_of("booking.dreamt")).status_code == 404


def test_an_alias_leads_to_what_it_stands_for(owner: User) -> None:
    response = client_of(owner).get(url_of("booking.create"))
    assert (response.status_code, response.headers["Location"]) == (302, url_of("booking.created"))


@pytest.mark.parametrize(
    "language, words",
    [
        (
            "en",
            ["Booking created", "Bookings", "Also known as", "Sent to the account as", "Affiliate, Agent, Supplier"],
        ),
        (
            "fi",
            ["Varaus luotu", "Varaukset", "Myös nimellä", "Tilin rooli tapahtumassa", "Kumppani, Agentti, Toimittaja"],
        ),
    ],
)
def test_it_says_what_the_event_is(owner: User, language: str, words: list[str]) -> None:
    page = read(owner, "booking.created", language)
    for word in words:
        assert word in page
    assert "<code>booking.create</code>" in page


def test_it_says_nothing_of_aliases_where_there_are_none(owner: User) -> None:
    assert "Also known as" not in read(owner, "booking.cancelled")


class TestExample:
    def test_it_is_the_envelope_that_a_receiver_gets(self, owner: User, account: Account) -> None:
        shown = json_on(read(owner, "booking.created"), "example")
        event = events.emit(type="booking.created", account=account, object={})
        real = json.loads(bytes(event.body))
        assert list(shown) == list(real)
        assert (shown["type"], shown["recipientRole"], shown["schemaVersion"]) == ("booking.created", "AFFILIATE", 2)
        assert shown["occurredAt"] == "2026-11-24T09:30:00Z"
        assert shown["object"] == EventType.objects.get(pk="booking.created").example

    def test_one_made_from_the_schema_is_said_to_be_so(self, owner: User) -> None:
        page = read(owner, "spa.updated")
        assert json_on(page, "example")["object"]["itemType"] == "SPA"
        made = "Its object shows all fields that there can be, with made-up values."
        assert made in page
        assert made not in read(owner, "booking.created")

    def test_there_is_none_of_an_event_without_a_schema(self, owner: User) -> None:
        page = read(owner, "booking.sync.run")
        assert "Example" not in page
        assert "JSON schema" not in page
        assert rows_on(page) == {}


class TestFields:
    def test_each_has_a_type_whether_it_is_required_and_a_meaning(self, owner: User) -> None:
        rows = rows_on(read(owner, "booking.created"))
        assert rows["bookingIdentifier"] == ["string uuid", "Required", "The id of the booking."]
        assert rows["stay.nights"] == ["integer int64", "Optional", "How many nights they stay."]
        assert rows["refundState"][2] == "Whether the booking was refunded, in part or in full. NONE PARTIAL FULL"
        assert rows["cancellation.cancellationType"][2].startswith("What kind of cancellation it was. 6 values")

    def test_they_are_told_in_finnish(self, owner: User) -> None:
        rows = rows_on(read(owner, "booking.created", "fi"))
        assert rows["bookingIdentifier"] == ["string uuid", "Pakollinen", "Varauksen tunnus."]
        assert rows["stay.nights"] == ["integer int64", "Valinnainen", "Montako yötä he viipyvät."]
        assert rows["cancellation.cancellationType"][2].startswith("Minkälainen peruutus oli. 6 arvoa")


def test_it_shows_the_schema_as_it_is(owner: User) -> None:
    shown = json_on(read(owner, "booking.created"), "schema")
    assert shown == EventType.objects.get(pk="booking.created").schema


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", "Webhooks do not get this event yet, not even those that get all events."),
        ("fi", "Webhookit eivät vielä saa tätä tapahtumaa, eivät nekään, jotka saavat kaikki tapahtumat."),
    ],
)
def test_it_says_that_an_event_is_not_delivered(owner: User, language: str, words: str) -> None:
    assert words in read(owner, "booking.sync.run", language)
    assert words not in read(owner, "booking.created", language)


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", "This event is deprecated: it may cease to be sent. Choose another one for new webhooks."),
        ("fi", "Tämä tapahtuma on vanhentunut, ja sen lähettäminen voi päättyä."),
    ],
)
def test_it_says_that_an_event_is_deprecated(owner: User, language: str, words: str) -> None:
    assert words not in read(owner, "spa.deleted", language)
    EventType.objects.filter(pk="spa.deleted").update(deprecated=True)
    assert words in read(owner, "spa.deleted", language)


def test_every_event_has_a_page(owner: User) -> None:
    client = client_of(owner)
    for key in EventType.objects.values_list("key", flat=True):
        assert client.get(url_of(key)).status_code == 200, key


def test_its_queries_are_few(owner: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client = client_of(owner)
    client.get(url_of("booking.created"))
    # The session, the user, the event type, and the accounts in the sidebar.
    with django_assert_num_queries(4):
        client.get(url_of("booking.created"))


def test_it_cannot_be_posted_to(owner: User) -> None:
    assert client_of(owner).post(url_of("booking.created")).status_code == 405


def test_it_has_no_inline_code(owner: User) -> None:
    assert_no_inline_code(client_of(owner).get(url_of("booking.created")))
