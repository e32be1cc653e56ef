from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from time_machine import TimeMachineFixture

from accounts.models import Account, User
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import make_webhook
from webhooks import health
from webhooks.models import Delivery, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
FIVE_DAYS = timedelta(days=5)


@pytest.fixture(autouse=True)
def at_start(time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(START, tick=False)


def fail(webhook: Webhook, dead: int = 10) -> None:
    """Let the webhook fail now, with so many deliveries given up at once."""
    for _ in range(dead):
        make_delivery(webhook, "DEAD", end_reason="REFUSED")
    health.note((str(webhook.pk), False) for _ in range(dead))
    webhook.refresh_from_db()


def test_five_days_of_failing_disable_it(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(FIVE_DAYS)
    assert health.disable_failing() == 1
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_reason, webhook.disabled_by) == (False, "FAILING", None)
    assert webhook.disabled_at == START + FIVE_DAYS
    assert webhook.states.get(since=START + FIVE_DAYS).disabled_reason == "FAILING"
    assert health.disable_failing() == 0


def test_what_waits_for_it_is_cancelled(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(FIVE_DAYS)
    last = make_delivery(webhook)
    health.disable_failing()
    last.refresh_from_db()
    assert (last.status, last.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")


def test_a_second_less_is_too_short(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(FIVE_DAYS - timedelta(seconds=1))
    assert health.disable_failing() == 0


def test_nine_dead_deliveries_are_too_few(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook, dead=9)
    time_machine.shift(FIVE_DAYS)
    assert health.disable_failing() == 0


def test_a_success_in_between_starts_the_five_days_anew(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(FIVE_DAYS - timedelta(hours=1))
    health.note([(str(webhook.pk), True), (str(webhook.pk), False)])
    time_machine.shift(timedelta(hours=1))
    assert health.disable_failing() == 0


def test_dead_deliveries_from_before_do_not_count(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook, dead=1)
    health.note([(str(webhook.pk), True)])
    time_machine.shift(timedelta(seconds=1))
    fail(webhook, dead=9)
    time_machine.shift(FIVE_DAYS)
    assert health.disable_failing() == 0


def test_the_delivery_whose_failure_was_the_first_counts(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    first = make_delivery(webhook)
    time_machine.shift(timedelta(seconds=10))
    fail(webhook, dead=9)
    Delivery.objects.filter(pk=first.pk).update(status="DEAD", next_attempt_at=None, finished_at=timezone.now())
    time_machine.shift(FIVE_DAYS)
    assert health.disable_failing() == 1


def test_other_webhooks_stay(account: Account, webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    other = make_webhook(account, "https://b.example/", name="healthy")
    removed = make_webhook(account, "https://c.example/", name="removed")
    fail(webhook)
    Webhook.objects.exclude(pk=webhook.pk).update(failing_since=None)
    removed.remove(by=None)
    Webhook.objects.filter(pk=removed.pk).update(failing_since=START)
    time_machine.shift(FIVE_DAYS)
    assert health.disable_failing() == 1
    other.refresh_from_db()
    assert other.enabled


def test_who_disabled_it_before_is_not_overwritten(
    webhook: Webhook, owner: User, time_machine: TimeMachineFixture
) -> None:
    fail(webhook)
    webhook.disable(Webhook.DisabledReason.BY_USER, by=owner)
    time_machine.shift(FIVE_DAYS)
    assert health.disable_failing() == 0
    webhook.refresh_from_db()
    assert webhook.disabled_reason == "BY_USER"


def test_a_success_that_comes_while_the_dead_are_counted_saves_it(
    webhook: Webhook, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(webhook)
    time_machine.shift(FIVE_DAYS)

    def succeed_meanwhile(counted: Webhook) -> bool:
        health.note([(str(counted.pk), True)])
        return True

    monkeypatch.setattr(health, "_has_many_dead", succeed_meanwhile)
    assert health.disable_failing() == 0
    webhook.refresh_from_db()
    assert webhook.enabled


def test_it_looks_at_a_bounded_number_of_deliveries(
    webhook: Webhook, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(webhook, dead=12)
    time_machine.shift(FIVE_DAYS)
    monkeypatch.setattr(health, "LOOKED_AT_MOST", 9)
    assert health.disable_failing() == 0
    monkeypatch.setattr(health, "LOOKED_AT_MOST", 10)
    assert health.disable_failing() == 1


def test_with_nothing_to_disable_it_is_one_query(
    webhook: Webhook, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fail(webhook)
    with django_assert_num_queries(1):
        assert health.disable_failing() == 0
