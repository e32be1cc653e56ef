from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from time_machine import TimeMachineFixture

from accounts.models import Account
from tests.webhooks.conftest import make_webhook
from webhooks import health
from webhooks.models import Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def note(webhook: Webhook, *successes: bool) -> tuple[int, datetime | None]:
    health.note((str(webhook.id), succeeded) for succeeded in successes)
    webhook.refresh_from_db()
    return webhook.consecutive_failures, webhook.failing_since


def test_failures_in_a_row_are_counted_from_the_first(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(START, tick=False)
    assert note(webhook, False, False) == (2, START)
    time_machine.shift(timedelta(hours=1))
    assert note(webhook, False) == (3, START)


def test_a_success_ends_the_row(webhook: Webhook) -> None:
    note(webhook, False, False)
    assert note(webhook, True) == (0, None)


def test_the_order_within_a_batch_counts(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(START, tick=False)
    note(webhook, False, False)
    time_machine.shift(timedelta(hours=1))
    assert note(webhook, False, True, False) == (1, START + timedelta(hours=1))
    assert note(webhook, False, True) == (0, None)


def test_webhooks_that_stay_healthy_are_not_written(account: Account, webhook: Webhook) -> None:
    other = make_webhook(account, "https://b.example/", name="failing")
    with CaptureQueriesContext(connection) as queries:
        note(webhook, True, True)
    assert not any(query["sql"].startswith("UPDATE") for query in queries)
    health.note([(str(webhook.id), True), (str(other.id), False)])
    other.refresh_from_db()
    assert other.consecutive_failures == 1
