"""How the work is going: figures that are there at once, however many rows there are."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Count, DateTimeField, Field, Q, UUIDField, Value
from django.utils import timezone

from webhooks import events
from webhooks.health import Health, present_health
from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import first_uuid7_at

# Counting goes no further. So many entries of an index take some 20 ms.
QUEUE_LIMIT = 50_000
LATEST_LIMIT = 10_000
LATEST = timedelta(hours=24)
LONGEST_WAITS = 10
COUNT_WAITS = """
SELECT webhook_id, min(next_attempt_at), count(*) FROM (
    SELECT webhook_id, next_attempt_at FROM webhooks_delivery
    WHERE next_attempt_at <= %(now)s AND finished_at IS NULL AND (leased_until IS NULL OR leased_until <= %(now)s)
    ORDER BY next_attempt_at LIMIT %(oldest)s
) AS oldest
GROUP BY webhook_id ORDER BY 2 LIMIT %(webhooks)s
"""


class TookTooLong(Exception):
    """The database was stopped in what it was asked for."""


@dataclass(frozen=True)
class Queue:
    """How many deliveries have not ended; of more than QUEUE_LIMIT, those whose turn is first are counted."""

    pending: int
    retrying: int
    due: int
    under_way: int
    later: int
    leases_overdue: int

    @property
    def is_limited(self) -> bool:
        return self.pending + self.retrying > QUEUE_LIMIT


def parts_of_queue(now: datetime) -> dict[str, Q]:
    """Return what parts of the unfinished deliveries fulfil, by their names in `Queue`."""
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    return {
        "due": Q(next_attempt_at__lte=now) & free,
        "under_way": Q(leased_until__gt=now),
        "later": Q(next_attempt_at__gt=now) & free,
        "leases_overdue": Q(leased_until__lte=now),
    }


def count_queue() -> Queue:
    parts = parts_of_queue(timezone.now()) | {
        "pending": Q(status=Delivery.Status.PENDING),
        "retrying": Q(status=Delivery.Status.RETRYING),
    }
    # The index `delivery_due` has this very condition.
    queue = Delivery.objects.unfinished().filter(finished_at=None).order_by("next_attempt_at")
    rows = queue.values("status", "next_attempt_at", "leased_until")[: QUEUE_LIMIT + 1]
    return Queue(**rows.aggregate(**{name: Count("status", filter=part) for name, part in parts.items()}))


@dataclass(frozen=True)
class Wait:
    """A webhook with due deliveries: since when the oldest one is due, and how many there are."""

    webhook: Webhook
    since: datetime
    due: int


def longest_waits() -> list[Wait]:
    """Return the webhooks whose due deliveries wait longest; of more than QUEUE_LIMIT, the oldest are looked at."""
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(COUNT_WAITS, {"now": now, "oldest": QUEUE_LIMIT, "webhooks": LONGEST_WAITS})
        rows = cursor.fetchall()
    found = [(_from_sql(pk, UUIDField()), _from_sql(since, DateTimeField()), due) for pk, since, due in rows]
    webhooks = Webhook.objects.without_secrets().select_related("account").in_bulk([pk for pk, _, _ in found])
    return [Wait(webhooks[pk], since, due) for pk, since, due in found if pk in webhooks]


def _from_sql(value: Any, field: "Field[Any, Any]") -> Any:
    """Return what raw SQL brought as the model's field has it: SQLite has texts for ids and times."""
    expression = Value(None, output_field=field)
    for convert in connection.ops.get_db_converters(expression):
        value = convert(value, expression, connection)
    return value


@dataclass(frozen=True)
class NewEvents:
    """How many events wait for their deliveries to be made, counted to QUEUE_LIMIT, and since when."""

    count: int
    since: datetime | None

    @property
    def is_limited(self) -> bool:
        return self.count > QUEUE_LIMIT


def count_new_events() -> NewEvents:
    new = Event.objects.filter(status=Event.Status.NEW).order_by("pk")
    return NewEvents(new[: QUEUE_LIMIT + 1].count(), new.values_list("created_at", flat=True).first())


@dataclass(frozen=True)
class Latest:
    """How the deliveries made in the last 24 hours ended; of more than LATEST_LIMIT, the newest are counted."""

    succeeded: int
    dead: int
    cancelled: int
    since: datetime | None
    """When the oldest one was made that is counted, where not all are."""


def count_latest() -> Latest:
    latest = Delivery.objects.filter(pk__gte=first_uuid7_at(timezone.now() - LATEST)).order_by("-pk")
    counts = latest.values("status")[:LATEST_LIMIT].aggregate(
        succeeded=Count("status", filter=Q(status=Delivery.Status.SUCCEEDED)),
        dead=Count("status", filter=Q(status=Delivery.Status.DEAD)),
        cancelled=Count("status", filter=Q(status=Delivery.Status.CANCELLED)),
    )
    made = latest.values_list("created_at", flat=True)[LATEST_LIMIT - 1 : LATEST_LIMIT + 1]
    return Latest(**counts, since=made[0] if len(made) > 1 else None)


@dataclass(frozen=True)
class WebhookCounts:
    """How many webhooks there are, but for removed ones, by their health, and disabled ones by the reason."""

    by_health: dict[str, int]
    disabled: dict[str, int]


def count_webhooks() -> WebhookCounts:
    rows = Webhook.objects.present().order_by().annotate(health=present_health())
    by_health = dict.fromkeys(Health.values, 0)
    disabled = dict.fromkeys(Webhook.DisabledReason.values, 0)
    for health, reason, count in rows.values_list("health", "disabled_reason").annotate(count=Count("pk")):
        by_health[health] += count
        if health == Health.DISABLED:
            disabled[reason] += count
    return WebhookCounts(by_health, disabled)


def ledger_within(seconds: float) -> events.Ledger:
    """Return the ledger, which reads whole tables; raise TookTooLong where that takes longer than so many seconds."""
    with _stopped_after(seconds):
        return events.ledger()


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Stop the database in what it is asked for once the time is over, and raise TookTooLong."""
    deadline = time.monotonic() + seconds
    try:
        if connection.vendor == "postgresql":
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{int(seconds * 1000)}ms"])
                yield
        else:
            connection.ensure_connection()
            # SQLite asks after so many steps of its machine whether it shall stop.
            connection.connection.set_progress_handler(lambda: time.monotonic() >= deadline, 10_000)
            try:
                yield
            finally:
                connection.connection.set_progress_handler(None, 0)
    except OperationalError as error:
        if time.monotonic() < deadline:
            raise
        raise TookTooLong from error
