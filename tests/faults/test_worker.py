"""Workers die; deliveries do not."""

import json
from collections import Counter

import pytest

from tests import actions
from tests.faults.conftest import WEBHOOK_IN_FLIGHT_PER_WEBHOOK
from tests.receivers import Receiver, status
from tests.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.storage]

COUNT = 200
WORKER_PROCESSES = 2


def test_all_arrive_when_the_worker_is_killed_in_the_middle(engine: Stack) -> None:
    with Receiver(status(204, delay=0.1)) as receiver:
        listener = engine.call(actions.make_listener, receiver.url)
        announced = engine.call(actions.announce, listener["account_id"], COUNT)
        receiver.wait_for(COUNT // 4, seconds=10)
        engine.worker.kill()
        in_the_middle = len(receiver.requests)
        engine.worker.start()

        assert engine.call(actions.wait_until_finished, 45)

    assert in_the_middle < COUNT
    times = Counter(request.header("Wink-Event-Id") for request in receiver.requests)
    assert set(times) == set(announced["event_ids"])
    # Only what was under way when the worker died may come again, and then it is the same event.
    assert sum(times.values()) - COUNT <= WORKER_PROCESSES * WEBHOOK_IN_FLIGHT_PER_WEBHOOK
    assert max(times.values()) <= 2
    bodies = {request.body for request in receiver.requests}
    assert sorted(json.loads(body)["id"] for body in bodies) == sorted(announced["event_ids"])
    assert receiver.most_at_once <= 2 * WEBHOOK_IN_FLIGHT_PER_WEBHOOK
    assert engine.call(actions.statuses_of, listener["webhook_id"]) == ["SUCCEEDED"]
    counted = engine.call(actions.count_everything)
    assert counted["balances"]
    assert counted["unfinished"] == 0


def test_a_stopped_worker_finishes_what_is_under_way(engine: Stack) -> None:
    with Receiver(status(204, delay=0.1)) as receiver:
        listener = engine.call(actions.make_listener, receiver.url)
        announced = engine.call(actions.announce, listener["account_id"], COUNT)
        receiver.wait_for(COUNT // 4, seconds=10)
        engine.worker.stop()
        engine.worker.start()

        assert engine.call(actions.wait_until_finished, 45)

    received = [request.header("Wink-Event-Id") for request in receiver.requests]
    assert sorted(map(str, received)) == sorted(announced["event_ids"])
    assert engine.call(actions.count_everything)["balances"]
