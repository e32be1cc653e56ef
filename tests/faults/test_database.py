"""The database goes away, breaks off and locks; what was under way is kept and comes to its end."""

import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests import actions, servers
from tests.faults.conftest import LEASE_SECONDS, TIMEOUT_SECONDS
from tests.faults.load import COMMAND_SECONDS, scaled, under_load
from tests.receivers import Receiver, status
from tests.stack import Program, Stack

pytestmark = [pytest.mark.stack, pytest.mark.load]

# In the long form the database is away for 5 s and more, again and again.
LONG_LEASE_SECONDS = "30"


class DurablePostgres:
    """A PostgreSQL of its own that may be restarted and crash; what it has committed it keeps."""

    def __init__(self, folder: Path) -> None:
        self.url = servers.postgres_url(folder)
        self._folder = folder
        self._program = Program(lambda: servers.start_postgres(folder, durable=True), folder / "postgres.log")

    def start(self) -> None:
        self._program.start()
        servers.wait_until(lambda: servers.postgres_answers(self.url), "PostgreSQL", None, self._program.log)

    def stop(self, by: signal.Signals) -> None:
        self._program.stop(by=by)


@pytest.fixture(scope="module")
def durable_postgres(postgres: str | None) -> Iterator[DurablePostgres]:
    # Sockets must have short paths, and `nobody` must get to them.
    with tempfile.TemporaryDirectory(prefix="winkhooks-tests-", dir="/tmp") as folder:
        server = DurablePostgres(Path(folder))
        server.start()
        yield server
        server.stop(signal.SIGINT)


@pytest.fixture(scope="module")
def durable_engine(tmp_path_factory: pytest.TempPathFactory, durable_postgres: DurablePostgres) -> Iterator[Stack]:
    with Stack(
        tmp_path_factory.mktemp("durable"),
        postgres=durable_postgres.url,
        web=False,
        command_seconds=COMMAND_SECONDS,
        WEBHOOK_TIMEOUT_SECONDS=TIMEOUT_SECONDS,
        # Answers wait for the database to come back, and are recorded only while their leases hold.
        WEBHOOK_LEASE_SECONDS=scaled(LEASE_SECONDS, LONG_LEASE_SECONDS),
    ) as engine:
        yield engine


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_nothing_is_lost_or_sent_twice_when_postgresql_restarts_under_load(
    durable_engine: Stack, durable_postgres: DurablePostgres, by: signal.Signals
) -> None:
    """SIGINT breaks off all connections; SIGQUIT does so without writing, so that it recovers as after a crash."""
    with under_load(durable_engine, events=scaled(1000, 20_000), per_second=250) as load:
        for _ in range(scaled(1, 10)):
            durable_postgres.stop(by)
            time.sleep(scaled(1, 5))
            durable_postgres.start()
            load.receiver.wait_for(len(load.receiver.requests) + 100, seconds=60)
        load.settle()

    load.check(most_again=0)


def test_nothing_is_lost_or_sent_twice_when_connections_are_broken_off(engine: Stack, postgres: str | None) -> None:
    if postgres is None:
        pytest.skip("SQLite has no connections that could be broken off.")
    broken_off = 0
    with (
        psycopg.connect(postgres, autocommit=True) as connection,
        under_load(engine, events=scaled(600, 20_000), per_second=150) as load,
    ):
        while not load.is_announced:
            time.sleep(0.5)
            row = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s",
                [engine.database],
            ).fetchone()
            assert row is not None
            broken_off += row[0]
        load.settle()

    assert broken_off >= scaled(3, 30)
    load.check(most_again=0)


def test_people_and_workers_do_not_lock_each_other_up(engine: Stack, postgres: str | None) -> None:
    """Webhooks are disabled, enabled, changed and removed, deliveries cancelled and redelivered, as they are sent."""
    seconds = scaled(5, 60)
    before = deadlocks(engine, postgres)
    # Some fail, so that retries and failures are written as well.
    answers = [status(code, delay=0.01) for code in (204, 204, 204, 500)]
    with Receiver(*answers * 2000, status(204)) as receiver, ThreadPoolExecutor(2) as background:
        listeners = engine.call(actions.make_listeners, receiver.url, 6)
        announcing = background.submit(
            engine.call, actions.announce_steadily, listeners["account_id"], int(seconds * 100), 100, 0
        )
        meddling = background.submit(engine.call, actions.meddle, listeners["webhook_ids"], seconds)
        deeds = meddling.result()
        announcing.result()
        standing = engine.call(actions.settle_with_retries, listeners["webhook_ids"], 60)

    assert deeds["errors"] == []
    assert deeds["done"] >= 20
    assert standing["leases"] == 0
    assert standing["balances"]
    assert standing["unfinished"] == 0
    assert deadlocks(engine, postgres) == before


def deadlocks(engine: Stack, postgres: str | None) -> int:
    if postgres is None:
        return 0
    with psycopg.connect(postgres) as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = %s", [engine.database]
        ).fetchone()
        assert row is not None
        count: int = row[0]
        return count
