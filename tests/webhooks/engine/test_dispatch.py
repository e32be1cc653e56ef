from datetime import UTC, datetime

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, User
from tests.webhooks.conftest import announce, make_webhook
from webhooks.engine.dispatch import MOST_EVENTS, _Subscribers, dispatch
from webhooks.events import ledger
from webhooks.models import Delivery, Event, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def receivers_of(event: Event) -> set[str]:
    return set(event.deliveries.values_list("webhook__name", flat=True))


def test_each_webhook_gets_what_it_asked_for(account: Account) -> None:
    make_webhook(account, "https://a.example/", name="everything")
    make_webhook(account, "https://b.example/", "booking.created", "booking.cancelled", name="bookings")
    make_webhook(account, "https://c.example/", "property.created", name="properties")
    [created] = announce(account, "booking.created")
    [status] = announce(account, "property.status.updated")
    assert dispatch().events == 2
    assert receivers_of(created) == {"everything", "bookings"}
    assert receivers_of(status) == {"everything"}
    created.refresh_from_db()
    assert (created.status, created.delivery_count) == ("DISPATCHED", 2)


def test_a_delivery_is_due_at_once_and_has_the_url(account: Account, webhook: Webhook) -> None:
    announce(account)
    dispatch()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.url, delivery.attempt_count) == ("PENDING", webhook.url, 0)
    assert delivery.next_attempt_at == delivery.created_at
    assert delivery.leased_until is None


def test_disabled_and_removed_webhooks_get_nothing(account: Account, owner: User) -> None:
    make_webhook(account, "https://a.example/").disable(Webhook.DisabledReason.BY_USER, owner)
    make_webhook(account, "https://b.example/").remove(owner)
    [event] = announce(account)
    dispatch()
    event.refresh_from_db()
    assert event.status == "NO_SUBSCRIBERS"
    assert not Delivery.objects.exists()


def test_other_accounts_get_nothing(account: Account) -> None:
    make_webhook(Account.objects.create(name="Another Account"), "https://a.example/")
    [event] = announce(account)
    dispatch()
    event.refresh_from_db()
    assert event.status == "NO_SUBSCRIBERS"


def test_types_that_the_platform_keeps_to_itself_reach_nobody(account: Account, webhook: Webhook) -> None:
    [event] = announce(account, "booking.sync.run")
    dispatch()
    event.refresh_from_db()
    assert event.status == "NO_SUBSCRIBERS"


def test_a_second_time_changes_nothing(account: Account, webhook: Webhook) -> None:
    announce(account)
    assert dispatch().events == 1
    assert dispatch().events == 0
    assert Delivery.objects.count() == 1


def test_it_takes_a_batch_at_a_time_oldest_first(account: Account, webhook: Webhook) -> None:
    announced = announce(account, count=MOST_EVENTS + 1)
    assert dispatch().events == MOST_EVENTS
    assert Event.objects.get(status="NEW") == announced[-1]
    assert dispatch().events == 1
    assert ledger().balances


def test_the_number_of_queries_does_not_grow_with_the_events(account: Account, webhook: Webhook) -> None:
    announce(account)
    with CaptureQueriesContext(connection) as few:
        dispatch()
    announce(account, count=50)
    with CaptureQueriesContext(connection) as many:
        dispatch()
    assert len(many) == len(few)


@pytest.mark.parametrize("event_types, status", [([], "DISPATCHED"), (["booking.cancelled"], "NO_SUBSCRIBERS")])
def test_an_event_keeps_the_moment_before_its_webhooks_were_read(
    account: Account, event_types: list[str], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_webhook(account, "https://a.example/", *event_types)
    [event] = announce(account)
    with time_machine.travel("2026-11-24T09:30:00Z", tick=False) as clock:
        reading = _Subscribers.__init__

        def read_a_second_later(self: _Subscribers, account_ids: set[str]) -> None:
            clock.shift(1)
            reading(self, account_ids)

        monkeypatch.setattr(_Subscribers, "__init__", read_a_second_later)
        dispatch()
    event.refresh_from_db()
    assert (event.status, event.dispatched_at) == (status, datetime(2026, 11, 24, 9, 30, tzinfo=UTC))
