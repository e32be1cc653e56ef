"""Workers die; deliveries do not."""

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from tests import actions
from tests.faults.conftest import UNDER_WAY, WEBHOOK_IN_FLIGHT_PER_WEBHOOK
from tests.faults.load import WEBHOOKS, scaled, under_load
from tests.receivers import Receiver, hang, status
from tests.stack import Stack

pytestmark = pytest.mark.stack

WORKER_PROCESSES = 2
ORPHAN_SECONDS = 20


def kill_worker(engine: Stack) -> list[psutil.Process]:
    engine.worker.kill()
    engine.worker.start()
    return []


def kill_main_process(engine: Stack) -> list[psutil.Process]:
    """Leave the processes of the pool, which are sending, to themselves."""
    orphans = engine.worker.kill_alone()
    engine.worker.start()
    return orphans


def kill_pool_process(engine: Stack) -> list[psutil.Process]:
    pool_process = max(pool_processes(engine), key=lambda process: process.cpu_times().user)
    os.kill(pool_process.pid, signal.SIGKILL)
    return []


@pytest.mark.parametrize(
    "kill, processes",
    [
        pytest.param(kill_worker, WORKER_PROCESSES, marks=pytest.mark.storage),
        pytest.param(kill_main_process, WORKER_PROCESSES, marks=pytest.mark.load),
        pytest.param(kill_pool_process, 1, marks=pytest.mark.load),
    ],
)
def test_nothing_is_lost_when_processes_are_killed_again_and_again(
    engine: Stack, postgres: str | None, kill: Callable[[Stack], list[psutil.Process]], processes: int
) -> None:
    # SQLite has one writer at a time, and whoever announces is one too.
    events, per_second = (scaled(3000, 20_000), 250) if postgres else (scaled(300, 3000), 50)
    with under_load(engine, events=events, per_second=per_second) as load:
        kills = 0
        left: list[psutil.Process] = []
        while not load.is_announced:
            left += kill(engine)
            kills += 1
            time.sleep(2)
        load.settle(180)

    assert kills >= 2
    load.check(most_again=kills * processes * UNDER_WAY)
    _, still_there = psutil.wait_procs(left, ORPHAN_SECONDS)
    assert still_there == []


@pytest.mark.storage
def test_a_stopped_worker_finishes_what_is_under_way(engine: Stack, postgres: str | None) -> None:
    events, per_second = (scaled(1000, 10_000), 500) if postgres else (scaled(200, 2000), 50)
    with under_load(engine, events=events, per_second=per_second, answer=status(204, delay=0.1)) as load:
        started = time.monotonic()
        engine.worker.stop(seconds=60)
        seconds = time.monotonic() - started
        in_the_middle = len(load.receiver.requests)
        leases = engine.call(actions.standing_of, load.webhook_ids)["leases"]
        engine.worker.start()
        load.settle()

    assert seconds < 15
    assert in_the_middle < load.deliveries
    assert leases == 0
    assert load.receiver.most_at_once <= WEBHOOKS * WEBHOOK_IN_FLIGHT_PER_WEBHOOK
    load.check(most_again=0)


def test_a_worker_stops_although_receivers_hang(engine: Stack) -> None:
    with Receiver(hang) as receiver:
        listeners = engine.call(actions.make_listeners, receiver.url, WEBHOOKS)
        engine.call(actions.announce, listeners["account_id"], 100)
        receiver.wait_for(1)
        started = time.monotonic()
        engine.worker.stop(seconds=60)
        seconds = time.monotonic() - started
        engine.call(actions.remove_webhooks, listeners["webhook_ids"])
        engine.worker.start()

    assert seconds < 15


def pool_processes(engine: Stack) -> list[psutil.Process]:
    """Return the processes of the worker that run tasks: its children but beat."""
    ids = engine.call(actions.pool_process_ids)
    return [process for process in psutil.Process(engine.worker.pid).children() if process.pid in ids]
