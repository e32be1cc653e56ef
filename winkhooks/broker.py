"""The way to the broker that holds nobody up: for messages without which all goes on, only later."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import redis
import structlog
from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = structlog.get_logger(__name__)

# A caller waits for the broker no longer than this, and after a failure or a wait in vain not at all for a while.
LONGEST_WAIT_SECONDS = 0.4
SILENT_SECONDS = 1.0
# So long the thread that talks to the broker waits for each of its answers; a new connection takes several.
ANSWER_SECONDS = 0.2


class Line:
    """The one thread of a process that talks to the broker, so that a slow one holds up nobody else."""

    def __init__(self) -> None:
        self.silent_until = 0.0
        self.redis = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="broker")
        self._connection: Connection | None = None

    def submit(self, step: "Step") -> "Future[None]":
        return self._thread.submit(self._guarded, step)

    def send(self, task: str, *args: str, expires: float | None = None) -> None:
        current_app.send_task(task, args, connection=self._open_connection(), retry=False, expires=expires)

    def close(self) -> None:
        self._thread.shutdown()
        self.redis.close()
        if self._connection is not None:
            self._connection.release()

    def _guarded(self, step: "Step") -> None:
        if time.monotonic() < self.silent_until:
            return
        try:
            step(self)
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


Step = Callable[[Line], object]


@cache
def _line_of_process(pid: int) -> Line:
    """Return the line of this process; a fork, which inherits no thread, gets its own."""
    return Line()


def call(step: Step) -> None:
    """Do something with the broker; never raises, never waits long."""
    line = _line_of_process(os.getpid())
    if time.monotonic() < line.silent_until:
        return
    try:
        line.submit(step).result(LONGEST_WAIT_SECONDS)
    except TimeoutError:
        # The thread goes on by itself. Who comes next need not wait for the same broker again.
        line.silent_until = time.monotonic() + SILENT_SECONDS
        logger.warning("broker_slow", waited_seconds=LONGEST_WAIT_SECONDS)


def call_soon(step: Step) -> None:
    """Do the same without waiting for it at all: for loops that have other things to do."""
    _line_of_process(os.getpid()).submit(step)


def send(task: str, *args: str, expires: float | None = None) -> None:
    """Send a task that beat sends again where it is lost; never raises, never waits long.

    A worker that gets it more than `expires` seconds later drops it.
    """
    call(lambda line: line.send(task, *args, expires=expires))
