"""The bell with a real Valkey: rung, hanging, frozen and gone."""

import os
import signal
import time
from typing import cast

import pytest
from django.db import transaction
from pytest_django import Settings

from accounts.models import Account
from tests.brokers import Broker, SlowProxy
from webhooks import events, wake
from winkhooks.broker import Line, _line_of_process


def seconds_to_ring() -> float:
    started = time.monotonic()
    wake.ring()
    return time.monotonic() - started


def test_it_sends_for_a_worker(broker: Broker) -> None:
    wake.ring()
    assert broker.bells == 1
    assert b"webhooks.tasks.deliver_due" in cast(bytes, broker.client.lindex("celery", 0))


def test_a_bell_that_hangs_is_not_rung_again(broker: Broker) -> None:
    for _ in range(5):
        wake.ring()
    assert broker.bells == 1


def test_once_taken_down_it_rings_again(broker: Broker) -> None:
    wake.ring()
    wake.take_down()
    wake.ring()
    assert broker.bells == 2


def test_a_bell_that_was_lost_rings_again_after_a_while(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "HANGING_MILLISECONDS", 50)
    wake.ring()
    time.sleep(0.1)
    wake.ring()
    assert broker.bells == 2


def test_without_a_broker_it_does_not_fail_or_wait(broker: Broker) -> None:
    wake.ring()
    broker.stop()
    wake.take_down()
    assert seconds_to_ring() < 0.5
    assert seconds_to_ring() < 0.01  # it does not even try for a while


def test_a_frozen_broker_holds_nobody_up(broker: Broker) -> None:
    wake.ring()
    wake.take_down()
    os.kill(broker.process.pid, signal.SIGSTOP)
    assert seconds_to_ring() < 0.5


def test_a_broker_that_freezes_between_the_two_steps_holds_nobody_up(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Line._open_connection

    def freeze_and_connect(line: Line) -> object:
        os.kill(broker.process.pid, signal.SIGSTOP)
        return connect(line)

    monkeypatch.setattr(Line, "_open_connection", freeze_and_connect)
    assert seconds_to_ring() < 0.5


def test_a_broker_that_is_slow_with_each_answer_holds_nobody_up(broker: Broker, settings: Settings) -> None:
    with SlowProxy(broker.socket, delay=0.15) as proxy:
        settings.REDIS_URL = f"redis://127.0.0.1:{proxy.port}"
        _line_of_process.cache_clear()
        assert seconds_to_ring() < 0.5
        assert seconds_to_ring() < 0.01
        _line_of_process(os.getpid()).close()


def test_ringing_soon_does_not_wait_at_all(broker: Broker) -> None:
    os.kill(broker.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    wake.ring_soon()
    assert time.monotonic() - started < 0.05


def test_a_fork_rings_with_a_connection_of_its_own(broker: Broker) -> None:
    wake.ring()
    wake.take_down()
    pid = os.fork()
    if not pid:
        wake.ring()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert broker.bells == 2


def test_after_the_broker_is_back_it_rings_again(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winkhooks.broker.SILENT_SECONDS", 0.05)
    wake.ring()
    broker.stop()
    wake.ring()
    broker.start()
    time.sleep(0.1)
    wake.ring()
    assert broker.bells == 1


@pytest.mark.django_db(transaction=True)
def test_an_announcement_commits_while_the_broker_is_down(broker: Broker, account: Account) -> None:
    broker.stop()
    started = time.monotonic()
    with transaction.atomic():
        event = events.emit(type="booking.created", account=account, object={})
    assert time.monotonic() - started < 0.5
    event.refresh_from_db()
    assert event.status == "NEW"
