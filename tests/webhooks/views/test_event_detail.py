import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from time_machine import TimeMachineFixture

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.conftest import announce, make_webhook
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import events
from webhooks.engine.dispatch import dispatch
from webhooks.models import Delivery, Event, EventType, Webhook

START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
WEBHOOK_URL = "https://my.system.example/"


@pytest.fixture
def event(account: Account) -> Event:
    return announce(account)[0]


@pytest.fixture
def at_start(time_machine: TimeMachineFixture) -> TimeMachineFixture:
    time_machine.move_to(START, tick=False)
    return time_machine


def url_of(event: Event) -> str:
    return reverse("webhooks:event_detail", args=[event.account_id, event.pk])


def read(user: User, event: Event, language: str = "en") -> str:
    response = client_of(user).get(url_of(event), headers={"accept-language": language})
    assert response.status_code == 200
    return text_of(response)


def plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def arrivals_on(page: str) -> list[str]:
    """Return what the page says of each webhook."""
    return [plain(found) for found in re.findall(r'<article class="arrival".*?</article>', page, re.DOTALL)]


class TestAccess:
    def test_it_sends_the_anonymous_to_the_sign_in(self, event: Event) -> None:
        url = url_of(event)
        assert Client().get(url).headers["Location"] == f"{reverse('accounts:sign_in')}?next={url}"

    def test_it_is_not_there_for_strangers(self, stranger: User, event: Event) -> None:
        assert client_of(stranger).get(url_of(event)).status_code == 404

    def test_an_event_of_another_account_is_not_in_this_one(
        self, owner: User, stranger: User, account: Account
    ) -> None:
        [theirs] = announce(Account.objects.get(name="Another Account"))
        url = reverse("webhooks:event_detail", args=[account.pk, theirs.pk])
        assert client_of(owner).get(url).status_code == 404

    def test_an_event_that_is_not_there_is_404(self, owner: User, event: Event) -> None:
        url = url_of(event)
        event.delete()
        assert client_of(owner).get(url).status_code == 404

    @pytest.mark.parametrize("role", ["owner", "manager", "viewer"])
    def test_members_read_it(self, role: str, request: pytest.FixtureRequest, event: Event) -> None:
        assert "<h2>booking.created</h2>" in read(request.getfixturevalue(role), event)

    def test_it_cannot_be_posted_to(self, owner: User, event: Event) -> None:
        assert client_of(owner).post(url_of(event)).status_code == 405


class TestFacts:
    @pytest.mark.parametrize(
        "language, words",
        [
            (
                "en",
                "Event id {id} Type Booking created Occurred 23 Nov 2026, 08:00:00 UTC "
                "Announced 24 Nov 2026, 09:30:00 UTC Dispatched 24 Nov 2026, 09:31:00 UTC "
                "Recipient role Supplier Idempotency key booking-7",
            ),
            (
                "fi",
                "Tapahtuman tunnus {id} Tyyppi Varaus luotu Tapahtui 23.11.2026 klo 8.00.00 UTC "
                "Ilmoitettu 24.11.2026 klo 9.30.00 UTC Jaettu 24.11.2026 klo 9.31.00 UTC "
                "Vastaanottajan rooli Toimittaja Idempotenssiavain booking-7",
            ),
        ],
    )
    def test_it_says_what_the_event_is(
        self, account: Account, owner: User, at_start: TimeMachineFixture, language: str, words: str
    ) -> None:
        event = events.emit(
            type="booking.created",
            account=account,
            object={},
            occurred_at=datetime(2026, 11, 23, 8, tzinfo=UTC),
            recipient_role="SUPPLIER",
            idempotency_key="booking-7",
        )
        at_start.shift(60)
        dispatch()
        page = read(owner, event, language)
        facts = re.search(r'<dl class="facts">(.*?)</dl>', page, re.DOTALL)
        assert facts is not None
        assert plain(facts[1]) == words.format(id=event.pk)
        assert f'href="{reverse("webhooks:event_type_detail", args=["booking.created"])}"' in page
        assert f'data-copy="{event.pk}"' in page
        assert 'data-copy="booking-7"' in page

    def test_there_is_no_key_and_no_dispatch_where_there_was_none(self, owner: User, event: Event) -> None:
        page = read(owner, event)
        assert "Idempotency key" not in page
        assert "Dispatched" not in page


class TestBody:
    def test_it_is_there_with_line_breaks_and_as_it_is_sent(self, account: Account, owner: User) -> None:
        event = events.emit(type="booking.created", account=account, object={"name": "Hämeenlinna <b>&amp;</b> “7”"})
        page = read(owner, event)
        pretty = re.search(r'<code id="pretty" translate="no">(.*?)</code>', page, re.DOTALL)
        raw = re.search(r'<code id="raw" translate="no">(.*?)</code>', page, re.DOTALL)
        assert pretty is not None
        assert raw is not None
        assert html.unescape(raw[1]).encode() == bytes(event.body)
        assert json.loads(html.unescape(pretty[1])) == json.loads(bytes(event.body))
        assert "\n  &quot;object&quot;: {\n" in pretty[1]

    def test_the_largest_one_is_shown_whole(self, account: Account, owner: User) -> None:
        event = events.emit(type="booking.created", account=account, object={"text": "ä" * 130_000})
        page = read(owner, event)
        assert page.count("ä" * 130_000) == 2
        assert "254.1 KB" in page.replace("\xa0", " ")

    def test_one_that_would_be_all_indentation_is_shown_as_it_is_sent_alone(
        self, account: Account, owner: User
    ) -> None:
        nested: list[Any] = [0] * 20_000
        for _ in range(200):
            nested = [nested]
        page = read(owner, events.emit(type="booking.created", account=account, object={"nested": nested}))
        assert 'id="pretty"' not in page
        assert '<details class="card code-card raw-card" open>' in page


class TestWebhooks:
    @pytest.mark.parametrize(
        "language, words",
        [
            (
                "en",
                "Wink Stalker Not sent The webhook was made later: 24 Nov 2026, 09:31:00 UTC. By now it gets "
                "such events.",
            ),
            (
                "fi",
                "Wink Stalker Ei lähetetty Webhook luotiin vasta myöhemmin: 24.11.2026 klo 9.31.00 "
                "UTC. Nyt se saa tällaiset tapahtumat.",
            ),
        ],
    )
    def test_one_that_was_made_later(
        self, account: Account, owner: User, event: Event, at_start: TimeMachineFixture, language: str, words: str
    ) -> None:
        dispatch()
        at_start.shift(60)
        make_webhook(account, WEBHOOK_URL)
        assert arrivals_on(read(owner, event, language)) == [words]

    @pytest.mark.parametrize(
        "language, words",
        [
            (
                "en",
                "Wink Stalker Not sent The webhook was disabled, since 24 Nov 2026, 09:30:00 UTC. Disabled by Owner.",
            ),
            (
                "fi",
                "Wink Stalker Ei lähetetty Webhook oli poissa käytöstä, alkaen 24.11.2026 klo 9.30.00 "
                "UTC. Käytöstä poisti Owner.",
            ),
        ],
    )
    def test_one_that_was_disabled_by_somebody(
        self, account: Account, owner: User, event: Event, at_start: TimeMachineFixture, language: str, words: str
    ) -> None:
        make_webhook(account, WEBHOOK_URL).disable(Webhook.DisabledReason.BY_USER, owner)
        at_start.shift(60)
        dispatch()
        assert arrivals_on(read(owner, event, language)) == [words]

    def test_one_that_the_engine_disabled(self, account: Account, owner: User, event: Event) -> None:
        make_webhook(account, WEBHOOK_URL).disable(Webhook.DisabledReason.FAILING)
        dispatch()
        assert arrivals_on(read(owner, event))[0].endswith("UTC. It kept failing.")

    @pytest.mark.parametrize(
        "language, words",
        [
            (
                "en",
                "Wink Stalker Not sent The webhook had not chosen this event. What it had chosen then: "
                "booking.cancelled",
            ),
            (
                "fi",
                "Wink Stalker Ei lähetetty Webhookille ei ollut valittu tätä tapahtumaa. Silloin valitut "
                "tapahtumat: booking.cancelled",
            ),
        ],
    )
    def test_one_that_had_other_events(
        self, account: Account, owner: User, event: Event, language: str, words: str
    ) -> None:
        webhook = make_webhook(account, WEBHOOK_URL, "booking.cancelled")
        dispatch()
        assert arrivals_on(read(owner, event, language)) == [words]
        webhook.event_types.clear()
        assert arrivals_on(read(owner, event, "en"))[0].endswith("booking.cancelled By now it gets such events.")

    def test_many_other_events_are_folded(self, account: Account, owner: User, event: Event) -> None:
        others = EventType.objects.filter(delivered=True).exclude(pk=event.type_id)
        make_webhook(account, WEBHOOK_URL, *others.values_list("key", flat=True))
        dispatch()
        assert "<summary>69 events</summary>" in read(owner, event)

    def test_one_that_was_removed_before_it_was_dispatched(
        self, account: Account, owner: User, event: Event, at_start: TimeMachineFixture
    ) -> None:
        Event.objects.update(created_at=START)
        webhook = make_webhook(account, WEBHOOK_URL)
        at_start.shift(60)
        webhook.remove(owner)
        at_start.shift(60)
        dispatch()
        words = "Wink Stalker Removed Not sent The webhook had been removed before: 24 Nov 2026, 09:31:00 UTC."
        assert arrivals_on(read(owner, event)) == [words]

    @pytest.mark.parametrize(
        "language, words",
        [
            ("en", "Not sent Webhooks do not get this event yet, not even those that get all events."),
            (
                "fi",
                "Ei lähetetty Webhookit eivät vielä saa tätä tapahtumaa, eivät nekään, jotka saavat kaikki tapahtumat.",
            ),
        ],
    )
    def test_a_type_that_nobody_gets(self, account: Account, owner: User, language: str, words: str) -> None:
        make_webhook(account, WEBHOOK_URL)
        [event] = announce(account, "booking.sync.run")
        dispatch()
        assert arrivals_on(read(owner, event, language)) == [f"Wink Stalker {words}"]

    @pytest.mark.parametrize(
        "language, words",
        [
            (
                "en",
                "Not dispatched yet Which webhooks get the event is decided within seconds, by what they have asked "
                "for then.",
            ),
            (
                "fi",
                "Ei vielä jaettu Tapahtuma jaetaan sekuntien kuluessa niille webhookeille, jotka silloin haluavat sen.",
            ),
        ],
    )
    def test_an_event_that_waits(self, account: Account, owner: User, event: Event, language: str, words: str) -> None:
        make_webhook(account, WEBHOOK_URL)
        assert arrivals_on(read(owner, event, language)) == [f"Wink Stalker {words}"]

    @pytest.mark.parametrize(
        "changed, words",
        [
            (True, "The webhook was being made or changed at that very moment."),
            (False, "What the webhook was then is not recorded."),
        ],
    )
    def test_what_the_record_contradicts(
        self, account: Account, owner: User, event: Event, changed: bool, words: str
    ) -> None:
        make_webhook(account, WEBHOOK_URL)
        dispatch()
        Delivery.objects.all().delete()
        if not changed:
            Webhook.objects.get().states.update(since=timezone.now() - timedelta(minutes=2))
        assert arrivals_on(read(owner, event)) == [f"Wink Stalker Not sent {words} By now it gets such events."]

    @pytest.mark.parametrize(
        "change, words",
        [
            ({}, "Pending It waits to be sent. 0 attempts."),
            (
                {
                    "status": "SUCCEEDED",
                    "next_attempt_at": None,
                    "finished_at": START,
                    "attempt_count": 1,
                    "last_http_status": 204,
                },
                "Succeeded The receiver took it: 24 Nov 2026, 09:30:00 UTC. 1 attempt. The last answer: HTTP 204.",
            ),
            (
                {"status": "RETRYING", "next_attempt_at": START, "attempt_count": 2, "last_http_status": None},
                "Retrying The last attempt failed. The next one: 24 Nov 2026, 09:30:00 UTC. 2 attempts.",
            ),
            (
                {
                    "status": "DEAD",
                    "end_reason": "REFUSED",
                    "next_attempt_at": None,
                    "finished_at": START,
                    "attempt_count": 1,
                    "last_http_status": 404,
                },
                "Dead The receiver refused it. 1 attempt. The last answer: HTTP 404.",
            ),
            (
                {"status": "CANCELLED", "end_reason": "BY_USER", "next_attempt_at": None, "finished_at": START},
                "Cancelled Cancelled by hand. 0 attempts.",
            ),
        ],
    )
    def test_a_delivery_is_told_with_its_state(
        self, account: Account, owner: User, event: Event, change: dict[str, Any], words: str
    ) -> None:
        make_webhook(account, WEBHOOK_URL)
        dispatch()
        Delivery.objects.update(**change)
        page = read(owner, event)
        assert arrivals_on(page) == [f"Wink Stalker {words} Show delivery"]
        delivery = Delivery.objects.get()
        assert (
            f'href="{reverse("webhooks:delivery_detail", args=[account.pk, delivery.webhook_id, delivery.pk])}"' in page
        )
        assert "A delivery was made for 1 of 1 webhook." in page

    def test_there_may_be_none(self, owner: User, event: Event) -> None:
        assert "The account has no webhooks." in read(owner, event)

    def test_names_are_escaped(self, account: Account, owner: User, event: Event) -> None:
        make_webhook(account, WEBHOOK_URL, name="<script>alert(1)</script>")
        assert "<script>alert(1)" not in read(owner, event)


def test_its_queries_do_not_grow_with_the_webhooks(
    account: Account, owner: User, event: Event, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(owner)
    client.get(url_of(event))
    for count in (1, 20):
        for number in range(count):
            webhook = make_webhook(account, WEBHOOK_URL, name=f"{count} {number}")
            if number % 2:
                webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        Delivery.objects.all().delete()
        Event.objects.update(status="NEW")
        dispatch()
        # The session, the user, the membership, the event with its type, the deliveries, the webhooks, their states,
        # and the accounts in the sidebar.
        with django_assert_num_queries(8):
            client.get(url_of(event))


def test_it_has_no_inline_code(account: Account, owner: User, event: Event) -> None:
    make_webhook(account, WEBHOOK_URL, "booking.cancelled")
    dispatch()
    assert_no_inline_code(client_of(owner).get(url_of(event)))
