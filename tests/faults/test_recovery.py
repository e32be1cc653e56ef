"""The past is sent behind the present, and stops when somebody says so."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import actions
from tests.faults.load import scaled
from tests.receivers import Receiver, status
from tests.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.storage]

STOPS_WITHIN_SECONDS = 5


def test_a_recovery_behind_live_traffic_stops_when_it_is_cancelled(engine: Stack, postgres: str | None) -> None:
    missed, live, per_second = (scaled(3000, 30_000), scaled(600, 6000), 60) if postgres else (1000, 200, 20)
    # With ten requests at a time 200 go in a second, so that much is left when the button is pressed.
    with Receiver(status(204, delay=0.05)) as receiver, ThreadPoolExecutor(1) as background:
        made = engine.call(actions.make_missed, receiver.url, missed)
        recovery_id = engine.call(actions.start_recovery, made["webhook_id"])
        announcing = background.submit(
            engine.call, actions.announce_steadily, made["account_id"], live, per_second, 60.0
        )
        receiver.wait_for(missed // 4, seconds=60)
        pressed_at = engine.call(actions.cancel_recovery, recovery_id)
        live_ids = set(announcing.result())
        recovered = engine.call(actions.wait_for_recovery, recovery_id, 30.0)
        standing = engine.call(actions.settle, [made["webhook_id"]], 60.0)

    replays = [request for request in receiver.requests if request.header("Wink-Event-Id") not in live_ids]
    replayed_ids = {request.header("Wink-Event-Id") for request in replays}
    assert replayed_ids <= set(made["event_ids"])
    assert max(request.at for request in replays) < pressed_at + STOPS_WITHIN_SECONDS
    assert recovered["status"] == "CANCELLED"
    assert recovered["total"] == missed
    assert recovered["arrived"] == len(replays) == len(replayed_ids) < missed
    assert recovered["arrived"] + recovered["cancelled"] + recovered["left"] == missed
    assert standing["deliveries"]["SUCCEEDED"] == live + recovered["arrived"]
    assert (standing["balances"], standing["unfinished"], standing["leases"]) == (True, 0, 0)


def test_a_recovery_goes_on_when_workers_are_killed(engine: Stack, postgres: str | None) -> None:
    missed = scaled(2000, 20_000) if postgres else 200
    kills = 0
    with Receiver(status(204, delay=0.02)) as receiver:
        made = engine.call(actions.make_missed, receiver.url, missed)
        recovery_id = engine.call(actions.start_recovery, made["webhook_id"])
        while len(receiver.requests) < missed // 2:
            time.sleep(1)
            engine.worker.kill()
            engine.worker.start()
            kills += 1
        recovered = engine.call(actions.wait_for_recovery, recovery_id, 150.0)

    assert kills >= 1
    assert (recovered["status"], recovered["arrived"]) == ("DONE", missed)
    assert {request.header("Wink-Event-Id") for request in receiver.requests} == set(made["event_ids"])
    assert engine.call(actions.count_everything)["balances"]
