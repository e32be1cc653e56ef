"""Time passes, jumps or stands still; what is due is sent, once, and nothing before its time."""

import time
from collections import Counter
from datetime import timedelta

import pytest

from tests import actions
from tests.faults.conftest import ClockStack
from tests.faults.load import WEBHOOKS, scaled, under_load
from tests.receivers import Receiver, status

pytestmark = [pytest.mark.stack, pytest.mark.load]

HOUR = 3600
SWEEP_SECONDS = 3
# A quiet machine needs one sweep; others may be busy on this one.
PATIENCE_SECONDS = 60
FIRST_WAIT = timedelta(minutes=1)
JITTER = 0.1
PROCESSES = 2
CAP = 10


def test_all_arrive_when_their_receiver_was_down(clock_stack: ClockStack) -> None:
    events = scaled(100, 2000)
    with Receiver(status(503)) as receiver:
        listeners = clock_stack.call(actions.make_listeners, receiver.url, WEBHOOKS)
        announced = clock_stack.call(actions.announce, listeners["account_id"], events)
        waits = clock_stack.call(actions.wait_for_rest, listeners["webhook_ids"], PATIENCE_SECONDS)
        failed = len(receiver.requests)
        receiver.answer_with(status(204))
        # The webhooks rest, and no retry is sent before its time, however often the bell rings meanwhile.
        time.sleep(2 * SWEEP_SECONDS)
        too_soon = len(receiver.requests) - failed
        clock_stack.move_clock(2 * FIRST_WAIT.total_seconds())
        standing = clock_stack.call(actions.settle, listeners["webhook_ids"], PATIENCE_SECONDS)

    assert len(waits) == failed
    assert min(waits) >= FIRST_WAIT.total_seconds()
    # Judged when the answer is there, and that may take a busy machine a while.
    assert max(waits) <= FIRST_WAIT.total_seconds() * (1 + JITTER) + 5
    assert too_soon == 0
    assert standing == {
        "deliveries": {"SUCCEEDED": events * WEBHOOKS},
        "leases": 0,
        "balances": True,
        "unfinished": 0,
    }
    times = Counter((request.path, request.header("Wink-Event-Id")) for request in receiver.requests)
    assert {event_id for _, event_id in times} == set(announced["event_ids"])
    assert len(times) == events * WEBHOOKS
    assert Counter(times.values()) == {1: events * WEBHOOKS - failed, 2: failed}


def test_bells_work_without_beat_and_what_lost_its_bell_comes_when_beat_is_back(clock_stack: ClockStack) -> None:
    assert clock_stack.beat is not None
    with Receiver() as receiver:
        listeners = clock_stack.call(actions.make_listeners, receiver.url, WEBHOOKS)
        clock_stack.beat.kill()
        try:
            clock_stack.call(actions.announce, listeners["account_id"], 10)
            receiver.wait_for(10 * WEBHOOKS, seconds=PATIENCE_SECONDS)
            clock_stack.broker.stop()
            try:
                clock_stack.call(actions.announce, listeners["account_id"], 10)
            finally:
                clock_stack.broker.start()
            time.sleep(scaled(2 * SWEEP_SECONDS, 60))
            without_bell = len(receiver.requests) - 10 * WEBHOOKS
        finally:
            clock_stack.beat.start()
        standing = clock_stack.call(actions.settle, listeners["webhook_ids"], PATIENCE_SECONDS)

    assert without_bell == 0
    assert standing == {"deliveries": {"SUCCEEDED": 20 * WEBHOOKS}, "leases": 0, "balances": True, "unfinished": 0}
    assert len(receiver.requests) == 20 * WEBHOOKS


def test_nothing_is_lost_when_the_clock_jumps_an_hour_forward_and_back(clock_stack: ClockStack) -> None:
    with under_load(clock_stack, events=scaled(1500, 20_000), per_second=150) as load:
        clock_stack.move_clock(HOUR)
        load.go_on_for(scaled(2, 30))
        clock_stack.move_clock(-HOUR)
        load.go_on_for(scaled(2, 30))
        # What was dispatched meanwhile is due in an hour, and that hour passes now.
        load.wait_until_announced()
        clock_stack.move_clock(HOUR)
        load.settle()

    # At each jump forward the leases of what is under way run out at once.
    load.check(most_again=2 * PROCESSES * WEBHOOKS * CAP)


def test_no_retry_is_sent_before_its_time_when_the_clock_jumps_back(clock_stack: ClockStack) -> None:
    # Not so many that the webhooks would have to rest.
    events = 5
    with Receiver(status(503)) as receiver:
        listeners = clock_stack.call(actions.make_listeners, receiver.url, WEBHOOKS)
        clock_stack.call(actions.announce, listeners["account_id"], events)
        receiver.wait_for(events * WEBHOOKS, seconds=PATIENCE_SECONDS)
        receiver.answer_with(status(204))
        clock_stack.move_clock(-HOUR)
        time.sleep(2 * SWEEP_SECONDS)
        too_soon = len(receiver.requests) - events * WEBHOOKS
        clock_stack.move_clock(HOUR + 2 * FIRST_WAIT.total_seconds())
        standing = clock_stack.call(actions.settle, listeners["webhook_ids"], PATIENCE_SECONDS)

    assert too_soon == 0
    assert standing == {
        "deliveries": {"SUCCEEDED": events * WEBHOOKS},
        "leases": 0,
        "balances": True,
        "unfinished": 0,
    }
    assert len(receiver.requests) == 2 * events * WEBHOOKS


def test_the_sweep_goes_on_after_the_clock_jumped_back(clock_stack: ClockStack) -> None:
    with Receiver() as receiver:
        listeners = clock_stack.call(actions.make_listeners, receiver.url, 1)
        clock_stack.move_clock(-HOUR)
        clock_stack.call(actions.announce_without_bell, listeners["account_id"])
        receiver.wait_for(1, seconds=PATIENCE_SECONDS)
