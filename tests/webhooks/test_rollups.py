import contextlib
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import make_webhook
from webhooks import retention, rollups, tasks
from webhooks.models import Attempt, Delivery, HourlyCount, RollUpMark, Webhook
from webhooks.models.roll_up import WITHIN_MS
from winkhooks.uuid7 import first_uuid7_at, time_of, uuid7

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NINE, tick=False) as clock:
        yield clock


@pytest.fixture
def delivery(webhook: Webhook) -> Delivery:
    return make_delivery(webhook, "RETRYING")


def attempt(delivery: Delivery, http_status: int | None = 204, duration_ms: int = 42, **fields: Any) -> Attempt:
    """Write down an attempt as the engine does, now."""
    delivery.attempt_count += 1
    Delivery.objects.filter(pk=delivery.pk).update(attempt_count=delivery.attempt_count)
    return Attempt.objects.create(
        id=UUID(int=first_uuid7_at(timezone.now()).int | secrets.randbits(62)),
        delivery=delivery,
        number=delivery.attempt_count,
        started_at=timezone.now(),
        duration_ms=duration_ms,
        http_status=http_status,
        error="" if http_status else "TIMEOUT",
        **fields,
    )


def counted() -> list[tuple[str, datetime, int, int, int]]:
    rows = HourlyCount.objects.order_by("webhook__name", "hour")
    return list(rows.values_list("webhook__name", "hour", "succeeded", "failed", "died"))


def response_times(row: HourlyCount) -> dict[str, int]:
    columns = [*(f"within_{bound}_ms" for bound in WITHIN_MS), "slower"]
    return {column: getattr(row, column) for column in columns if getattr(row, column)}


def test_attempts_are_counted_by_outcome_webhook_and_hour(
    account: Account, webhook: Webhook, delivery: Delivery, clock: time_machine.Traveller
) -> None:
    other = make_delivery(make_webhook(account, "https://b.example/", name="Another"), "DEAD")
    attempt(delivery, 500)
    attempt(delivery, None)
    attempt(other, 404)
    clock.shift(timedelta(hours=2))
    attempt(delivery, 299)
    clock.shift(timedelta(minutes=2))
    assert rollups.roll_up() == 4
    assert counted() == [
        ("Another", NINE, 0, 0, 1),
        ("Wink Stalker", NINE, 0, 2, 0),
        ("Wink Stalker", NINE + timedelta(hours=2), 1, 0, 0),
    ]


def test_only_the_last_attempt_of_a_dead_delivery_died(delivery: Delivery, clock: time_machine.Traveller) -> None:
    for _ in range(10):
        attempt(delivery, 503)
    Delivery.objects.update(status="DEAD", next_attempt_at=None)
    clock.shift(timedelta(minutes=2))
    rollups.roll_up()
    assert counted() == [("Wink Stalker", NINE, 0, 9, 1)]


def test_a_later_run_adds_to_the_hour(delivery: Delivery, clock: time_machine.Traveller) -> None:
    for _ in range(3):
        attempt(delivery, duration_ms=20)
        clock.shift(timedelta(minutes=2))
        assert rollups.roll_up() == 1
    assert counted() == [("Wink Stalker", NINE, 3, 0, 0)]
    assert response_times(HourlyCount.objects.get()) == {"within_20_ms": 3}
    assert rollups.roll_up() == 0


def test_each_answer_is_in_one_column_of_response_times(delivery: Delivery, clock: time_machine.Traveller) -> None:
    for bound in WITHIN_MS:
        attempt(delivery, 500, bound)
        attempt(delivery, 204, bound + 1)
    attempt(delivery, 204, 0)
    attempt(delivery, None, 10)
    clock.shift(timedelta(minutes=2))
    rollups.roll_up()
    expected = {f"within_{bound}_ms": 2 for bound in WITHIN_MS} | {"slower": 1}
    assert response_times(HourlyCount.objects.get()) == expected


def test_there_is_a_column_for_each_bound() -> None:
    columns = [field.name for field in HourlyCount._meta.get_fields() if field.name.startswith("within_")]
    assert columns == [f"within_{bound}_ms" for bound in WITHIN_MS]


def test_what_was_just_written_waits_for_transactions_that_are_under_way(
    delivery: Delivery, clock: time_machine.Traveller
) -> None:
    attempt(delivery)
    clock.shift(timedelta(seconds=60))
    assert rollups.roll_up() == 0
    clock.shift(timedelta(seconds=11))
    assert rollups.roll_up() == 1


def test_batches_count_the_same(
    delivery: Delivery, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "BATCH", 3)
    for _ in range(10):
        attempt(delivery)
        clock.shift(timedelta(minutes=10))
    assert rollups.roll_up() == 10
    assert counted() == [("Wink Stalker", NINE, 6, 0, 0), ("Wink Stalker", NINE + timedelta(hours=1), 4, 0, 0)]


def test_a_run_ends_after_a_while_and_the_next_one_goes_on(
    delivery: Delivery, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "BATCH", 2)
    monkeypatch.setattr(rollups, "RUN_SECONDS", -1)
    for _ in range(3):
        attempt(delivery)
    clock.shift(timedelta(minutes=2))
    assert [rollups.roll_up(), rollups.roll_up(), rollups.roll_up()] == [2, 1, 0]
    assert counted() == [("Wink Stalker", NINE, 3, 0, 0)]


def test_what_dies_halfway_counts_nothing_twice_and_loses_nothing(
    delivery: Delivery, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "BATCH", 2)
    for _ in range(5):
        attempt(delivery)
    clock.shift(timedelta(minutes=2))
    save = RollUpMark.save
    saved = []

    def die_the_second_time(mark: RollUpMark, **kwargs: Any) -> None:
        if "update_fields" in kwargs:
            saved.append(mark.last_attempt_id)
        if len(saved) == 2:
            raise KeyboardInterrupt
        save(mark, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(RollUpMark, "save", die_the_second_time)
        with pytest.raises(KeyboardInterrupt):
            rollups.roll_up()
    assert counted() == [("Wink Stalker", NINE, 2, 0, 0)]
    assert rollups.roll_up() == 3
    assert counted() == [("Wink Stalker", NINE, 5, 0, 0)]


@pytest.mark.django_db(transaction=True)
def test_two_that_run_at_once_count_each_attempt_once(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "BATCH", 7)
    monkeypatch.setattr(rollups, "SETTLED_AFTER", timedelta(seconds=-1))
    for _ in range(100):
        attempt(delivery)
    totals = []
    together = threading.Barrier(2)

    def run() -> None:
        with contextlib.closing(connection):
            together.wait()
            totals.append(rollups.roll_up())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(totals) == 100
    assert sum(HourlyCount.objects.values_list("succeeded", flat=True)) == 100
    assert RollUpMark.objects.count() == 1


def test_when_the_clock_is_set_back_everything_counts_once(delivery: Delivery, clock: time_machine.Traveller) -> None:
    for minutes in (-90, 10, 10):
        clock.shift(timedelta(minutes=minutes))
        attempt(delivery)
    clock.move_to(NINE + timedelta(minutes=10))
    attempt(delivery, 500)
    clock.shift(timedelta(minutes=20))
    attempt(delivery, 500)
    clock.shift(timedelta(minutes=2))
    assert rollups.roll_up() == 5

    clock.move_to(NINE + timedelta(minutes=5))
    attempt(delivery)
    clock.shift(timedelta(minutes=2))
    rollups.roll_up()
    clock.shift(timedelta(hours=1))
    attempt(delivery)
    clock.shift(timedelta(minutes=2))
    rollups.roll_up()
    assert counted() == [
        ("Wink Stalker", NINE - timedelta(hours=2), 3, 0, 0),
        ("Wink Stalker", NINE, 1, 2, 0),
        ("Wink Stalker", NINE + timedelta(hours=1), 1, 0, 0),
    ]


@pytest.mark.parametrize("seconds_back", [30, 65])
def test_a_clock_that_was_set_back_a_little_loses_nothing(
    delivery: Delivery, clock: time_machine.Traveller, seconds_back: int
) -> None:
    attempt(delivery)
    clock.shift(rollups.SETTLED_AFTER + timedelta(seconds=1))
    rollups.roll_up()
    clock.shift(timedelta(seconds=-seconds_back))
    attempt(delivery)
    clock.shift(timedelta(minutes=2))
    rollups.roll_up()
    assert counted() == [("Wink Stalker", NINE, 2, 0, 0)]


def test_clocks_that_are_a_little_apart_count_nothing_anew(
    delivery: Delivery, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(delivery)
    clock.shift(rollups.SETTLED_AFTER + timedelta(seconds=1))
    rollups.roll_up()
    clock.shift(timedelta(seconds=-4))
    monkeypatch.setattr(rollups, "_go_back", lambda *args: pytest.fail("It went back."))
    assert rollups.roll_up() == 0


def test_counts_go_when_what_they_count_goes(
    delivery: Delivery, clock: time_machine.Traveller, settings: Settings
) -> None:
    settings.WEBHOOK_KEEP_DAYS = 7
    for _ in range(2):
        attempt(delivery)
        clock.shift(timedelta(hours=1))
    rollups.roll_up()
    clock.move_to(NINE + timedelta(days=7, minutes=59))
    retention.purge()
    assert len(counted()) == 2
    clock.shift(timedelta(minutes=1))
    retention.purge()
    assert [hour for _, hour, *_ in counted()] == [NINE + timedelta(hours=1)]


def test_the_task_counts(delivery: Delivery, clock: time_machine.Traveller) -> None:
    attempt(delivery)
    clock.shift(timedelta(minutes=2))
    tasks.roll_up()
    assert counted() == [("Wink Stalker", NINE, 1, 0, 0)]


def test_an_id_tells_when_it_was_made() -> None:
    before = timezone.now()
    made = time_of(uuid7())
    assert before - timedelta(milliseconds=1) <= made <= timezone.now()
