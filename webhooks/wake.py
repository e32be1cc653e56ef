"""The bell: tells the workers that there is work, once a transaction has committed.

Nothing depends on it but speed. Where the broker is down or a bell is lost, the sweep finds the work in the database.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import redis
import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = structlog.get_logger(__name__)

# Whoever finds this key knows that a bell hangs in the queue already. The worker that answers takes it down before it
# looks for work; the time lets a bell that was lost be rung again.
HANGING_KEY = "winkhooks:bell"
HANGING_MILLISECONDS = 2000
# A caller waits for the broker no longer than this, and after a failure or a wait in vain not at all for a while.
LONGEST_WAIT_SECONDS = 0.4
SILENT_SECONDS = 1.0
# So long the thread that rings waits for each of the broker's answers; a new connection takes several.
ANSWER_SECONDS = 0.2


class _Ringer:
    """The one thread of a process that talks to the broker, so that a slow one holds up nobody else."""

    def __init__(self) -> None:
        self.silent_until = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bell")
        self._connection: Connection | None = None
        self._redis = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def ring(self) -> "Future[None]":
        return self._thread.submit(self._guarded, self._ring)

    def take_down(self) -> "Future[None]":
        return self._thread.submit(self._guarded, self._take_down)

    def send(self, task: str, *args: str) -> "Future[None]":
        return self._thread.submit(self._guarded, lambda: self._send(task, *args))

    def close(self) -> None:
        self._thread.shutdown()
        self._redis.close()
        if self._connection is not None:
            self._connection.release()

    def _ring(self) -> None:
        if self._redis.set(HANGING_KEY, 1, nx=True, px=HANGING_MILLISECONDS):
            self._send("webhooks.tasks.deliver_due")

    def _send(self, task: str, *args: str) -> None:
        current_app.send_task(task, args, connection=self._open_connection(), retry=False)

    def _take_down(self) -> None:
        self._redis.delete(HANGING_KEY)

    def _guarded(self, step: Callable[[], None]) -> None:
        if time.monotonic() < self.silent_until:
            return
        try:
            step()
        except (redis.RedisError, OperationalError, OSError) as error:
            self._connection = None
            self.silent_until = time.monotonic() + SILENT_SECONDS
            logger.warning("broker_unreachable", error=str(error))

    def _open_connection(self) -> Connection:
        if self._connection is None:
            self._connection = current_app.connection_for_write(
                transport_options={
                    "socket_timeout": ANSWER_SECONDS,
                    "socket_connect_timeout": ANSWER_SECONDS,
                    "max_retries": 0,
                }
            )
        return self._connection


@cache
def _ringer_of_process(pid: int) -> _Ringer:
    """Return the ringer of this process; a fork, which inherits no thread, gets its own."""
    return _Ringer()


def ring_on_commit(using: str | None = None) -> None:
    """Ring once when the present transaction commits, however often it is called in it; without one, ring now."""
    connection = transaction.get_connection(using)
    last = connection.run_on_commit[-1] if connection.run_on_commit else None
    # A call of the same savepoint has asked for it already. One of another savepoint does not count: rolling that
    # savepoint back would take its bell along.
    if last is None or last[1] is not ring or last[0] != set(connection.savepoint_ids):
        transaction.on_commit(ring, using=using, robust=True)


def ring() -> None:
    """Send a worker to look for work, unless a bell hangs already; never raises, never waits long."""
    _wait_for(_Ringer.ring)


def ring_soon() -> None:
    """Do the same without waiting for it at all: for loops that have other things to do."""
    _ringer_of_process(os.getpid()).ring()


def ask_for(task: str, *args: str) -> None:
    """Send a task to the workers, of which the sweep sends another where it is lost; never raises, never waits long."""
    _wait_for(lambda ringer: ringer.send(task, *args))


def take_down() -> None:
    """Let the next commit ring again. A worker calls it before it looks for work."""
    _wait_for(_Ringer.take_down)


def _wait_for(step: Callable[[_Ringer], "Future[None]"]) -> None:
    ringer = _ringer_of_process(os.getpid())
    if time.monotonic() < ringer.silent_until:
        return
    try:
        step(ringer).result(LONGEST_WAIT_SECONDS)
    except TimeoutError:
        # The thread goes on by itself. Who comes next need not wait for the same broker again.
        ringer.silent_until = time.monotonic() + SILENT_SECONDS
        logger.warning("broker_slow", waited_seconds=LONGEST_WAIT_SECONDS)
