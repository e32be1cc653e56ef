from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from time_machine import TimeMachineFixture

from accounts.models import Account
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import announce, make_webhook
from webhooks import events, operations
from webhooks.engine.dispatch import dispatch
from webhooks.models import Webhook
from webhooks.operations import Latest, Queue, TookTooLong

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
# Both databases count this until they are stopped.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'attempts', '', count(*) FROM n"


@pytest.fixture(autouse=True)
def at_start(time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(START, tick=False)


class TestQueue:
    def test_without_deliveries_it_is_empty(self, db: None) -> None:
        assert operations.count_queue() == Queue(0, 0, 0, 0, 0, 0)

    def test_it_counts_what_has_not_ended(self, webhook: Webhook) -> None:
        make_delivery(webhook)
        make_delivery(webhook, "RETRYING", next_attempt_at=START + MINUTE)
        make_delivery(webhook, "RETRYING", next_attempt_at=START - MINUTE, leased_until=START + SECOND)
        make_delivery(webhook, next_attempt_at=START - MINUTE, leased_until=START - SECOND)
        for status in ("SUCCEEDED", "DEAD", "CANCELLED"):
            make_delivery(webhook, status, leased_until=START - SECOND)
        assert operations.count_queue() == Queue(pending=2, retrying=2, due=2, under_way=1, later=1, leases_overdue=1)

    def test_counting_ends_at_its_limit(self, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "QUEUE_LIMIT", 2)
        make_delivery(webhook, "RETRYING", next_attempt_at=START + MINUTE)
        make_delivery(webhook)
        assert not operations.count_queue().is_limited
        for _ in range(3):
            make_delivery(webhook)
        queue = operations.count_queue()
        assert queue.is_limited
        assert (queue.pending, queue.retrying, queue.due) == (3, 0, 3)


class TestLongestWaits:
    def test_the_longest_wait_comes_first(self, account: Account) -> None:
        webhooks = [make_webhook(account, "https://a.example/", name=f"Webhook {number}") for number in range(3)]
        for webhook, minutes in zip(webhooks, (2, 5, 3), strict=True):
            make_delivery(webhook, next_attempt_at=START - minutes * MINUTE)
            make_delivery(webhook, next_attempt_at=START - MINUTE)
        waits = operations.longest_waits()
        assert [(wait.webhook, wait.since, wait.due) for wait in waits] == [
            (webhooks[1], START - 5 * MINUTE, 2),
            (webhooks[2], START - 3 * MINUTE, 2),
            (webhooks[0], START - 2 * MINUTE, 2),
        ]

    def test_what_is_not_due_or_under_way_does_not_wait(self, webhook: Webhook) -> None:
        make_delivery(webhook, next_attempt_at=START + SECOND)
        make_delivery(webhook, next_attempt_at=START - MINUTE, leased_until=START + SECOND)
        make_delivery(webhook, "DEAD")
        assert operations.longest_waits() == []

    def test_a_lease_that_is_over_lets_it_wait(self, webhook: Webhook) -> None:
        make_delivery(webhook, next_attempt_at=START - MINUTE, leased_until=START - SECOND)
        [wait] = operations.longest_waits()
        assert wait.since == START - MINUTE

    def test_only_the_first_are_shown(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "LONGEST_WAITS", 2)
        for number in range(4):
            webhook = make_webhook(account, "https://a.example/", name=f"Webhook {number}")
            make_delivery(webhook, next_attempt_at=START - number * MINUTE)
        assert [wait.webhook.name for wait in operations.longest_waits()] == ["Webhook 3", "Webhook 2"]

    def test_secrets_are_not_read(self, webhook: Webhook) -> None:
        make_delivery(webhook)
        with CaptureQueriesContext(connection) as queries:
            operations.longest_waits()
        assert not any('secret"' in query["sql"] for query in queries)


class TestNewEvents:
    def test_there_are_none(self, db: None) -> None:
        assert (operations.count_new_events().count, operations.count_new_events().since) == (0, None)

    def test_the_oldest_says_since_when(
        self, account: Account, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        announce(account, count=2)
        time_machine.shift(MINUTE)
        announce(account)
        new = operations.count_new_events()
        assert (new.count, new.since, new.is_limited) == (3, START, False)
        monkeypatch.setattr(operations, "QUEUE_LIMIT", 2)
        assert operations.count_new_events().is_limited

    def test_dispatched_ones_do_not_count(self, account: Account) -> None:
        announce(account)
        dispatch()
        assert operations.count_new_events().count == 0


class TestLatest:
    def test_it_counts_how_those_made_within_a_day_ended(
        self, webhook: Webhook, time_machine: TimeMachineFixture
    ) -> None:
        make_delivery(webhook, "DEAD")
        time_machine.shift(timedelta(hours=24, seconds=1))
        for status, count in (("SUCCEEDED", 3), ("DEAD", 2), ("CANCELLED", 1), ("PENDING", 1)):
            for _ in range(count):
                make_delivery(webhook, status)
        assert operations.count_latest() == Latest(succeeded=3, dead=2, cancelled=1, since=None)

    def test_of_many_the_newest_are_counted(
        self, webhook: Webhook, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "LATEST_LIMIT", 2)
        for _ in range(2):
            make_delivery(webhook, "SUCCEEDED")
            time_machine.shift(MINUTE)
        assert operations.count_latest() == Latest(succeeded=2, dead=0, cancelled=0, since=None)
        make_delivery(webhook, "DEAD")
        assert operations.count_latest() == Latest(succeeded=1, dead=1, cancelled=0, since=START + MINUTE)


def test_webhooks_are_counted_by_health_and_reason(account: Account) -> None:
    def make(**fields: object) -> Webhook:
        webhook = make_webhook(account, "https://a.example/")
        Webhook.objects.filter(pk=webhook.pk).update(**fields or {"version": 1})
        return webhook

    for _ in range(4):
        make()
    for _ in range(3):
        make(failing_since=START, cooling_until=START)
    for _ in range(2):
        make(failing_since=START, cooling_until=START + SECOND)
    make(failing_since=START).disable(Webhook.DisabledReason.GONE)
    make(failing_since=START).remove(by=None)
    counts = operations.count_webhooks()
    assert counts.by_health == {"healthy": 4, "failing": 3, "resting": 2, "disabled": 1}
    assert counts.disabled == {"BY_USER": 0, "GONE": 1, "FAILING": 0}


@pytest.mark.parametrize(
    "count, index",
    [
        (operations.count_queue, "delivery_due"),
        (operations.longest_waits, "delivery_due"),
        (operations.count_new_events, "event_new"),
        (operations.count_latest, "webhooks_delivery_pkey"),
    ],
)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="It is PostgreSQL that has large tables.")
def test_it_reads_an_index_and_not_the_table(webhook: Webhook, count: Callable[[], object], index: str) -> None:
    # In a table of no rows one index is as good as another, and what other tests have left of them decides.
    announce(webhook.account, count=200)
    dispatch()
    announce(webhook.account, count=200)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_event, webhooks_delivery")
    with CaptureQueriesContext(connection) as queries:
        count()
    with connection.cursor() as cursor:
        # It would rather read small tables whole.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {queries[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert f" {index} " in plan


class TestLedger:
    def test_it_counts_within_the_time(self, account: Account) -> None:
        announce(account)
        assert operations.ledger_within(10).events == {"NEW": 1}

    @pytest.mark.django_db(transaction=True)
    def test_what_takes_too_long_is_stopped(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, time_machine: TimeMachineFixture
    ) -> None:
        monkeypatch.setattr(events, "COUNT_EVERYTHING", ENDLESS)
        time_machine.move_to(START, tick=True)
        with pytest.raises(TookTooLong):
            operations.ledger_within(0.2)
        monkeypatch.undo()
        # What comes after it has all the time it wants.
        assert operations.ledger_within(10).balances
        assert Account.objects.count() == 1
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SHOW statement_timeout")
                assert cursor.fetchone() == ("0",)

    def test_another_failure_of_the_database_is_not_taken_for_that(
        self, db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise OperationalError("the connection is lost")

        monkeypatch.setattr(events, "ledger", fail)
        with pytest.raises(OperationalError, match="the connection is lost"):
            operations.ledger_within(10)
