"""Hourly counts of attempts by webhook, so that no page has to count in the log.

Attempts are counted in the order of their ids, which is that of time, and the last one that was counted is remembered:
the counts and this mark are written in one transaction, so that nothing counts twice or not at all, whatever dies when.
The mark's row is locked meanwhile; two that run at once take turns.

A transaction that is under way may still bring attempts with smaller ids than those that are visible. So only those are
counted that were made a while ago: longer than it takes to commit a batch, and than the clocks of workers differ.
"""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from webhooks.models import Attempt, HourlyCount, RollUpMark
from webhooks.models.roll_up import WITHIN_MS
from winkhooks.uuid7 import first_uuid7_at, time_of

BATCH = 10_000
RUN_SECONDS = 30
"""No batch is begun after that; the next run goes on."""
SETTLED_AFTER = timedelta(seconds=70)
CLOCKS_APART = timedelta(seconds=5)
"""The clocks of two workers may differ so much; the mark ahead by more means that the clock was set back."""
HOUR = timedelta(hours=1)

_SUCCEEDED = "attempt.http_status BETWEEN 200 AND 299"
_DIED = "delivery.status = 'DEAD' AND attempt.number = delivery.attempt_count"


def _counted_by_column() -> dict[str, str]:
    """Return which attempts each column counts, as a condition in SQL."""
    counted = {
        "succeeded": _SUCCEEDED,
        "failed": f"({_SUCCEEDED}) IS NOT TRUE AND NOT ({_DIED})",
        "died": f"({_SUCCEEDED}) IS NOT TRUE AND {_DIED}",
    }
    shorter = -1
    for bound in WITHIN_MS:
        counted[f"within_{bound}_ms"] = (
            f"attempt.http_status IS NOT NULL AND attempt.duration_ms > {shorter} AND attempt.duration_ms <= {bound}"
        )
        shorter = bound
    counted["slower"] = f"attempt.http_status IS NOT NULL AND attempt.duration_ms > {shorter}"
    return counted


_COUNTED = _counted_by_column()
# It holds nothing but names and numbers of this module.
COUNT_SQL = f"""
INSERT INTO webhooks_hourlycount AS present (webhook_id, hour, {", ".join(_COUNTED)})
SELECT delivery.webhook_id, %(hour)s, {", ".join(f"count(*) FILTER (WHERE {which})" for which in _COUNTED.values())}
FROM webhooks_attempt AS attempt JOIN webhooks_delivery AS delivery ON delivery.id = attempt.delivery_id
WHERE attempt.id BETWEEN %(first)s AND %(last)s
GROUP BY delivery.webhook_id
ON CONFLICT (webhook_id, hour) DO UPDATE
SET {", ".join(f"{column} = present.{column} + excluded.{column}" for column in _COUNTED)}
"""  # noqa: S608


def roll_up() -> int:
    """Count the attempts that are new; return how many."""
    counted = 0
    started = time.monotonic()
    while count := _count_batch():
        counted += count
        if time.monotonic() - started > RUN_SECONDS:
            break
    return counted


def forget_before(moment: datetime) -> None:
    """Remove the counts of hours that ended before."""
    HourlyCount.objects.filter(hour__lte=moment - HOUR).delete()


def _count_batch() -> int:
    with transaction.atomic():
        mark, _ = RollUpMark.objects.select_for_update(no_key=True).get_or_create(pk=1)
        settled = timezone.now() - SETTLED_AFTER
        if time_of(mark.last_attempt_id) > settled + CLOCKS_APART:
            _go_back(mark, settled)
        batch = _next_ids(mark, settled)
        if batch:
            _count(batch)
            mark.last_attempt_id = batch[-1]
        mark.save(update_fields=["last_attempt_id"])
    return len(batch)


def _go_back(mark: RollUpMark, settled: datetime) -> None:
    """Let what is made anew in the time that was there already be counted: with all else since that hour began."""
    hour = _hour_of(settled)
    HourlyCount.objects.filter(hour__gte=hour).delete()
    mark.last_attempt_id = UUID(int=first_uuid7_at(hour).int - 1)


def _next_ids(mark: RollUpMark, settled: datetime) -> list[UUID]:
    """Return the next attempts to count, all of one hour, in order."""
    ids = Attempt.objects.filter(pk__lt=first_uuid7_at(settled)).order_by("pk").values_list("pk", flat=True)
    first = ids.filter(pk__gt=mark.last_attempt_id).first()
    if first is None:
        return []
    next_hour = _hour_of(time_of(first)) + HOUR
    return list(ids.filter(pk__gte=first, pk__lt=first_uuid7_at(next_hour))[:BATCH])


def _count(ids: list[UUID]) -> None:
    id_field = Attempt._meta.pk
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT_SQL,
            {
                "hour": connection.ops.adapt_datetimefield_value(_hour_of(time_of(ids[0]))),
                "first": id_field.get_db_prep_value(ids[0], connection),
                "last": id_field.get_db_prep_value(ids[-1], connection),
            },
        )


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
