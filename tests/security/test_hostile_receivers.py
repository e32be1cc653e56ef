"""Receivers that mean harm, called by a real worker: it stays small and quick, and pages and log show harmless text."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests import servers
from tests.faults.load import scaled
from tests.receivers import Receiver
from tests.security import hostility
from tests.security.hostile import EVIL, EVIL_BYTES, RECEIVERS
from tests.stack import Stack

pytestmark = pytest.mark.stack

MOST_MB = 200
LONGEST_SECONDS = 1.0
HEALTHY_WEBHOOKS = 3
PER_SECOND = 20
HOSTILE_EVERY = 10
# Ten requests at a time to each, so that 100 connections are kept open by those that never answer.
HANGING_WEBHOOKS = 10
SECONDS = scaled(6.0, 300.0)
# Those whose text is on pages in ways of its own.
SHOWN = ["evil-200", "evil-302", "evil-503", "evil-777", "unknown-encoding", "garbage", "a-gzip-bomb", "status-99999"]


@pytest.fixture(scope="module")
def hostile_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the hostile receivers are, in a process of their own."""
    log = tmp_path_factory.mktemp("hostile") / "hostile.log"
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listening:
        process = servers.start(
            [sys.executable, "-m", "tests.security.hostile", str(listening.fileno())],
            log=log,
            pass_fds=[listening.fileno()],
        )
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        servers.kill(process)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, postgres: str | None) -> Iterator[Stack]:
    with Stack(
        tmp_path_factory.mktemp("engine"),
        postgres=postgres,
        web=False,
        command_seconds=60 + 2 * SECONDS,
        WEBHOOK_TIMEOUT_SECONDS="2",
        WEBHOOK_LEASE_SECONDS="15",
    ) as engine:
        yield engine


class Memory:
    """The MB of the largest process of a worker, looked at again and again."""

    def __init__(self, pid: int) -> None:
        self.most_mb = 0.0
        self._worker = psutil.Process(pid)

    def look(self) -> None:
        processes = [self._worker, *self._worker.children(recursive=True)]
        self.most_mb = max(self.most_mb, *(process.memory_info().rss / 2**20 for process in processes))


@contextmanager
def watched(pid: int) -> Iterator[Memory]:
    memory = Memory(pid)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            memory.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def nearest_rank(values: list[float], part: float) -> float:
    return sorted(values)[max(0, -int(-len(values) * part // 1) - 1)]


def test_they_harm_neither_the_worker_nor_others_nor_readers(engine: Stack, hostile_url: str) -> None:
    with Receiver() as healthy, watched(engine.worker.pid) as memory:
        cast = engine.call(hostility.make_cast, healthy.url, HEALTHY_WEBHOOKS, hostile_url, HANGING_WEBHOOKS)
        committed = engine.call(hostility.announce_beside, cast, SECONDS, PER_SECOND, HOSTILE_EVERY)
        arrived = healthy.wait_for(HEALTHY_WEBHOOKS * len(committed), seconds=30)
        outcomes = engine.call(hostility.outcomes, cast, 60)

    seconds = [request.at - committed[str(request.header("Wink-Event-Id"))] for request in arrived]
    assert len(seconds) == HEALTHY_WEBHOOKS * len(committed)
    assert nearest_rank(seconds, 0.99) < LONGEST_SECONDS
    assert memory.most_mb < MOST_MB

    assert outcomes.keys() == RECEIVERS.keys()
    for name, found in outcomes.items():
        expected = RECEIVERS[name].outcomes
        # On a machine that is busy with something else any of them may take too long at times.
        assert set(found) <= expected | {"TIMEOUT"}, f"{name}: {found}"
        assert expected & set(found), f"{name}: {found}"

    names = scaled(SHOWN, sorted(RECEIVERS))
    read = engine.call(hostility.read_pages, cast, names)
    assert read["harmful"] == []
    assert read["pages"] == 5 * len(names) + 5
    # The page of the delivery and that of the attempt in the administration, of the four that write into every field.
    assert read["with_text"] >= 2 * 4
    assert not hostility.ACTING.search(engine.worker.log.read_text())


def test_what_is_harmful_would_be_found() -> None:
    assert hostility.ACTING.search(EVIL)
    assert hostility.PLANTED.search(EVIL)
    assert len(hostility.ACTING.findall(EVIL_BYTES.decode(errors="replace"))) >= 4
