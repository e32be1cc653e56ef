from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account
from tests.webhooks.conftest import announce, make_webhook
from webhooks import retention, tasks
from webhooks.arrival import arrivals_of
from webhooks.events import ledger
from webhooks.models import Attempt, Delivery, Event, Webhook, WebhookState
from winkhooks.uuid7 import first_uuid7_at, uuid7

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def make_event(account: Account, webhook: Webhook, days_old: int, status: str = "SUCCEEDED") -> Event:
    finished = status in ("SUCCEEDED", "DEAD", "CANCELLED")
    [event] = announce(account)
    Event.objects.filter(pk=event.pk).delete()
    event.pk = first_uuid7_at(timezone.now() - timedelta(days=days_old))
    event.status, event.delivery_count = Event.Status.DISPATCHED, 1
    event.save(force_insert=True)
    delivery = Delivery.objects.create(
        event=event, webhook=webhook, status=status, next_attempt_at=None if finished else timezone.now()
    )
    Attempt.objects.create(delivery=delivery, number=1, started_at=timezone.now(), duration_ms=1, http_status=200)
    return event


def test_what_is_older_than_30_days_goes_with_all_that_belongs_to_it(account: Account, webhook: Webhook) -> None:
    make_event(account, webhook, days_old=31)
    kept = make_event(account, webhook, days_old=29)
    assert retention.purge() == 1
    assert Event.objects.get() == kept
    assert Delivery.objects.get().event == kept
    assert Attempt.objects.get().delivery.event == kept


def test_what_is_not_finished_stays(account: Account, webhook: Webhook) -> None:
    make_event(account, webhook, days_old=40, status="RETRYING")
    assert retention.purge() == 0


def test_what_was_cancelled_stays_while_its_request_is_under_way(account: Account, webhook: Webhook) -> None:
    make_event(account, webhook, days_old=40, status="CANCELLED")
    Delivery.objects.update(leased_until=timezone.now() + timedelta(seconds=60))
    assert retention.purge() == 0
    Delivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert retention.purge() == 1


@pytest.mark.parametrize(
    "busy",
    [
        {"leased_until": timezone.now() + timedelta(days=1)},
        {"status": "PENDING", "next_attempt_at": timezone.now()},
    ],
)
def test_what_became_busy_since_it_was_chosen_stays(busy: dict[str, Any], account: Account, webhook: Webhook) -> None:
    chosen = make_event(account, webhook, days_old=40)
    gone = make_event(account, webhook, days_old=41)
    Delivery.objects.filter(event=chosen).update(**busy)
    assert retention._remove([gone.pk, chosen.pk]) == 1
    assert Event.objects.get() == chosen
    assert Attempt.objects.get().delivery.event == chosen
    retention._remove_some_deliveries(chosen.pk)
    assert Delivery.objects.get().event == chosen


def test_an_event_that_was_never_dispatched_stays(account: Account) -> None:
    [event] = announce(account)
    Event.objects.filter(id=event.id).update(id=first_uuid7_at(timezone.now() - timedelta(days=40)))
    assert retention.purge() == 0


def test_it_works_in_batches(account: Account, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for days in range(31, 36):
        make_event(account, webhook, days_old=days)
    assert retention.purge() == 5
    assert not Attempt.objects.exists()


def test_an_event_of_many_webhooks_goes_in_parts_and_the_ledger_balances_between_them(
    account: Account, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    event = make_event(account, webhook, days_old=31)
    for number in range(4):
        other = make_webhook(account, "https://b.example/", name=str(number))
        Delivery.objects.create(event=event, webhook=other, status="DEAD", next_attempt_at=None)
    Event.objects.update(delivery_count=5)
    Delivery.objects.filter(webhook=webhook).update(attempt_count=1)
    balances = []
    remove = retention._remove_some_deliveries

    def remove_and_count(event_id: UUID) -> None:
        remove(event_id)
        balances.append((Delivery.objects.count(), ledger().balances))

    monkeypatch.setattr(retention, "_remove_some_deliveries", remove_and_count)
    assert retention.purge() == 1
    assert balances == [(3, True), (1, True)]
    assert not Event.objects.exists()


def test_the_time_can_be_set(account: Account, webhook: Webhook, settings: Settings) -> None:
    settings.WEBHOOK_KEEP_DAYS = 7
    make_event(account, webhook, days_old=8)
    tasks.purge()
    assert not Event.objects.exists()


class TestStates:
    def record(self, webhook: Webhook, *days_old: float) -> None:
        WebhookState.objects.filter(webhook=webhook).delete()
        for days in days_old:
            webhook.states.create(
                since=timezone.now() - timedelta(days=days), enabled=True, removed=False, event_types=[]
            )

    def days_left(self, webhook: Webhook) -> list[int]:
        since = webhook.states.order_by("since").values_list("since", flat=True)
        return [(timezone.now() - moment).days for moment in since]

    def test_what_a_webhook_was_as_the_oldest_time_began_stays_and_what_it_was_before_goes(
        self, webhook: Webhook
    ) -> None:
        self.record(webhook, 50, 40, 31, 29, 1)
        retention.purge()
        assert self.days_left(webhook) == [31, 29, 1]

    def test_what_it_has_been_since_long_stays(self, webhook: Webhook, account: Account) -> None:
        other = make_webhook(account, "https://b.example/", name="Other")
        self.record(webhook, 90)
        self.record(other, 80, 70)
        retention.purge()
        assert (self.days_left(webhook), self.days_left(other)) == ([90], [70])

    def test_an_older_event_that_is_kept_keeps_what_was_so_then(self, webhook: Webhook, account: Account) -> None:
        kept = make_event(account, webhook, days_old=45, status="RETRYING")
        Event.objects.filter(pk=kept.pk).update(created_at=timezone.now() - timedelta(days=45))
        self.record(webhook, 60, 50, 40, 31)
        retention.purge()
        assert self.days_left(webhook) == [50, 40, 31]

    def test_a_change_about_the_moment_of_the_oldest_event_stays(self, webhook: Webhook) -> None:
        self.record(webhook, 40, 30 + 1 / 86400)
        retention.purge()
        assert self.days_left(webhook) == [40, 30]

    def test_they_go_in_batches(self, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        self.record(webhook, 60, 59, 58, 57, 56, 55)
        retention.purge()
        assert self.days_left(webhook) == [55]

    def test_why_an_event_did_not_come_is_told_as_before(self, webhook: Webhook, account: Account) -> None:
        [event] = announce(account)
        moment = timezone.now() - timedelta(days=29)
        Event.objects.filter(pk=event.pk).update(status="NO_SUBSCRIBERS", dispatched_at=moment, created_at=moment)
        event.refresh_from_db()
        Webhook.objects.update(created_at=moment - timedelta(days=30))
        self.record(webhook, 50, 40, 2)
        webhook.states.filter(since__lt=moment).update(enabled=False)
        before = [arrival.answer for arrival in arrivals_of(event)]
        retention.purge()
        assert [arrival.answer for arrival in arrivals_of(event)] == before == ["DISABLED"]
        assert self.days_left(webhook) == [40, 2]


def test_the_first_id_of_a_moment_is_below_all_that_are_made_after_it() -> None:
    before = timezone.now()
    made = uuid7()
    assert first_uuid7_at(before) <= made < first_uuid7_at(before + timedelta(minutes=1))
    assert first_uuid7_at(before).version == 7
