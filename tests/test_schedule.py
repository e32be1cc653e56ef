from datetime import UTC, datetime, timedelta

import time_machine

from winkhooks.schedule import Every

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_it_is_due_when_its_interval_is_over() -> None:
    every = Every(timedelta(seconds=3))

    with time_machine.travel(NOON + timedelta(seconds=1), tick=False):
        assert not every.is_due(NOON).is_due
    with time_machine.travel(NOON + timedelta(seconds=3), tick=False):
        assert every.is_due(NOON).is_due


def test_it_is_due_at_once_when_the_clock_was_set_back() -> None:
    with time_machine.travel(NOON - timedelta(hours=1), tick=False):
        is_due, next_in = Every(timedelta(seconds=3)).is_due(NOON)

    assert is_due
    assert next_in == 3
