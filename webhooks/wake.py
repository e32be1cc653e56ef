"""The bell: tells the workers that there is work, once a transaction has committed.

Nothing depends on it but speed. Where the broker is down or a bell is lost, the sweep finds the work in the database.
"""

from django.db import transaction

from winkhooks import broker

# Whoever finds this key knows that a bell hangs in the queue already. The worker that answers takes it down before it
# looks for work; the time lets a bell that was lost be rung again.
HANGING_KEY = "winkhooks:bell"
HANGING_MILLISECONDS = 2000


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
    broker.call(_ring)


def ring_soon() -> None:
    """Do the same without waiting for it at all: for loops that have other things to do."""
    broker.call_soon(_ring)


def take_down() -> None:
    """Let the next commit ring again. A worker calls it before it looks for work."""
    broker.call(lambda line: line.redis.delete(HANGING_KEY))


def _ring(line: broker.Line) -> None:
    if line.redis.set(HANGING_KEY, 1, nx=True, px=HANGING_MILLISECONDS):
        line.send("webhooks.tasks.deliver_due")
