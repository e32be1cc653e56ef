"""The broker is only a bell: without it events wait, and none is lost."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tests import actions
from tests.actions import Listener
from tests.faults.load import scaled, under_load
from tests.receivers import Receiver
from tests.stack import Stack

pytestmark = pytest.mark.stack

# After an outage the worker looks for the broker every few seconds.
RECOVERY_SECONDS = 30


@contextmanager
def stopped(engine: Stack) -> Iterator[None]:
    engine.broker.stop()
    try:
        yield
    finally:
        engine.broker.start()


@contextmanager
def killed(engine: Stack) -> Iterator[None]:
    engine.broker.kill()
    try:
        yield
    finally:
        engine.broker.start()


@contextmanager
def frozen(engine: Stack) -> Iterator[None]:
    """It takes connections and answers none."""
    os.kill(engine.broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.broker.pid, signal.SIGCONT)


def empty_the_broker(engine: Stack) -> None:
    with redis.Redis.from_url(engine.env["REDIS_URL"]) as client:
        client.flushall()


@pytest.fixture
def listener(engine: Stack, receiver: Receiver) -> Iterator[Listener]:
    yield engine.call(actions.make_listener, receiver.url)
    # A receiver that closes before it has answered would leave a retry to the tests that follow.
    assert engine.call(actions.wait_until_finished, RECOVERY_SECONDS)


@pytest.mark.storage
@pytest.mark.parametrize("outage", [stopped, killed, frozen])
def test_an_event_commits_without_the_broker_and_arrives_when_it_is_back(
    engine: Stack, receiver: Receiver, listener: Listener, outage: type
) -> None:
    with outage(engine):
        announced = engine.call(actions.announce, listener["account_id"])

        assert announced["seconds"] < 0.5
        assert not receiver.requests

    [request] = receiver.wait_for(1, RECOVERY_SECONDS)
    assert request.header("Wink-Event-Id") == announced["event_ids"][0]


@pytest.mark.storage
def test_an_event_arrives_whose_bell_was_wiped_out(engine: Stack, receiver: Receiver, listener: Listener) -> None:
    engine.worker.stop()
    try:
        announced = engine.call(actions.announce, listener["account_id"])
        empty_the_broker(engine)
    finally:
        engine.worker.start()

    [request] = receiver.wait_for(1, RECOVERY_SECONDS)
    assert request.header("Wink-Event-Id") == announced["event_ids"][0]


@pytest.mark.storage
def test_events_go_on_after_the_broker_was_emptied(engine: Stack, receiver: Receiver, listener: Listener) -> None:
    empty_the_broker(engine)

    announced = engine.call(actions.announce, listener["account_id"])

    [request] = receiver.wait_for(1, RECOVERY_SECONDS)
    assert request.header("Wink-Event-Id") == announced["event_ids"][0]


def kill_the_broker(engine: Stack) -> None:
    """It keeps nothing on disk, so that all bells are lost."""
    engine.broker.kill()
    time.sleep(1)
    engine.broker.start()


def freeze_the_broker(engine: Stack) -> None:
    with frozen(engine):
        time.sleep(scaled(5, 30))


@pytest.mark.load
@pytest.mark.parametrize("trouble", [kill_the_broker, freeze_the_broker, empty_the_broker])
def test_nothing_is_lost_or_sent_twice_when_the_broker_fails_under_load(
    engine: Stack, trouble: Callable[[Stack], None]
) -> None:
    with under_load(engine, events=scaled(1000, 20_000), per_second=200) as load:
        for _ in range(scaled(1, 10)):
            trouble(engine)
        load.settle()

    load.check(most_again=0)
