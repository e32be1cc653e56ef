from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account
from tests.webhooks.conftest import announce, make_webhook
from webhooks.engine.dispatch import dispatch
from webhooks.models import Attempt, Delivery, Event, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


@pytest.fixture
def delivery(account: Account, webhook: Webhook) -> Delivery:
    announce(account)
    dispatch()
    return Delivery.objects.get()


def finish(delivery: Delivery, status: str, attempts: int = 1) -> None:
    Delivery.objects.update(
        status=status, next_attempt_at=None, attempt_count=attempts, finished_at=timezone.now(), end_reason="REFUSED"
    )


def test_the_last_deliveries_come_in_as_many_queries_for_any_number_of_webhooks(
    account: Account, webhook: Webhook, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    other, unused = (make_webhook(account, "https://b.example/", name=name) for name in ("Another", "Unused"))
    for _ in range(3):
        announce(account)
        dispatch()
    unused.deliveries.all().delete()
    ids = [webhook.pk, other.pk, unused.pk]
    with django_assert_num_queries(2):
        last = Delivery.objects.last_of(ids)
    assert last == {one.pk: one.deliveries.order_by("-pk")[0] for one in (webhook, other)}


@pytest.mark.parametrize("status", ["DEAD", "CANCELLED", "SUCCEEDED"])
def test_redeliver_brings_a_finished_one_back_with_a_fresh_budget(delivery: Delivery, status: str) -> None:
    finish(delivery, status, attempts=10)
    assert Delivery.objects.all().redeliver() == 1
    delivery.refresh_from_db()
    assert (delivery.status, delivery.end_reason, delivery.finished_at) == ("PENDING", "", None)
    assert (delivery.attempt_count, delivery.budget_start) == (10, 10)
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at <= timezone.now()


def test_redeliver_leaves_those_of_a_disabled_webhook_as_they_ended(delivery: Delivery, webhook: Webhook) -> None:
    finish(delivery, "DEAD")
    webhook.disable(Webhook.DisabledReason.GONE)
    assert Delivery.objects.all().redeliver() == 0
    delivery.refresh_from_db()
    assert (delivery.status, delivery.end_reason) == ("DEAD", "REFUSED")


@pytest.mark.parametrize("status", ["PENDING", "RETRYING"])
def test_redeliver_leaves_an_unfinished_one(delivery: Delivery, status: str) -> None:
    Delivery.objects.update(status=status)
    assert Delivery.objects.all().redeliver() == 0


def test_retry_now_makes_an_unfinished_one_due(delivery: Delivery) -> None:
    Delivery.objects.update(status="RETRYING", next_attempt_at=timezone.now() + timedelta(hours=2), attempt_count=4)
    assert Delivery.objects.all().retry_now() == 1
    delivery.refresh_from_db()
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at <= timezone.now()
    assert (delivery.status, delivery.attempt_count, delivery.budget_start) == ("RETRYING", 4, 0)


def test_a_finished_one_cannot_be_tried_now_or_cancelled(delivery: Delivery) -> None:
    finish(delivery, "SUCCEEDED")
    assert Delivery.objects.all().retry_now() == 0
    assert Delivery.objects.all().cancel(Delivery.EndReason.BY_USER) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"status": "PENDING", "next_attempt_at": None},
        {"status": "SUCCEEDED"},
        {"status": "SENT"},
        {"attempt_count": 1, "budget_start": 2},
    ],
)
def test_the_database_knows_the_states(delivery: Delivery, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.update(**change)


def test_a_webhook_gets_an_event_once(delivery: Delivery) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.create(event=delivery.event, webhook=delivery.webhook)


def test_an_attempt_has_a_status_or_an_error(delivery: Delivery) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.create(delivery=delivery, number=1, started_at=timezone.now(), duration_ms=1)


@pytest.mark.parametrize("change", [{"status": "SENT"}, {"recipient_role": "OWNER"}])
def test_the_database_knows_the_states_of_events(delivery: Delivery, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.update(**change)
