"""The bell: tells the workers that there is work, once a transaction has committed.

Nothing depends on it but speed. Where the broker is down or a bell is lost, the sweep finds the work in the database.
"""

import threading
import time
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
# A caller waits for the broker no longer than this, for each of two answers at most, ...
BROKER_TIMEOUT_SECONDS = 0.2
# ... and, after a failure, not at all for this long.
SILENT_SECONDS = 1.0


class _Rope(threading.local):
    """The calling thread's connection to the broker; libraries that fork make a new one in each process."""

    connection: Connection | None = None
    silent_until = 0.0


_rope = _Rope()


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
    if time.monotonic() < _rope.silent_until:
        return
    try:
        if _redis().set(HANGING_KEY, 1, nx=True, px=HANGING_MILLISECONDS):
            current_app.send_task("webhooks.tasks.deliver_due", connection=_connection(), retry=False)
    except (redis.RedisError, OperationalError, OSError) as error:
        _rope.connection = None
        _rope.silent_until = time.monotonic() + SILENT_SECONDS
        logger.warning("broker_unreachable", error=str(error))


def take_down() -> None:
    """Let the next commit ring again. A worker calls it before it looks for work."""
    try:
        _redis().delete(HANGING_KEY)
    except (redis.RedisError, OSError) as error:
        logger.warning("broker_unreachable", error=str(error))


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=BROKER_TIMEOUT_SECONDS,
        socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _connection() -> Connection:
    if _rope.connection is None:
        _rope.connection = current_app.connection_for_write(
            transport_options={
                "socket_timeout": BROKER_TIMEOUT_SECONDS,
                "socket_connect_timeout": BROKER_TIMEOUT_SECONDS,
                "max_retries": 0,
            }
        )
    return _rope.connection
