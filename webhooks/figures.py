"""Figures and bars of webhooks, from the hourly counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, Sum, Value, When
from django.utils import timezone

from webhooks.models import Delivery, HourlyCount, Webhook
from webhooks.models.roll_up import WITHIN_MS

CARD_DAYS = 14
OUTCOMES = ("succeeded", "failed", "died")
TIMES = (*(f"within_{bound}_ms" for bound in WITHIN_MS), "slower")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST = 0.95


@dataclass
class Bar:
    """The attempts of an hour or a day."""

    start: datetime
    succeeded: int = 0
    failed: int = 0
    died: int = 0

    @property
    def unsuccessful(self) -> int:
        return self.failed + self.died


@dataclass(frozen=True)
class Figures:
    """What came of the attempts of some time, and how long answers took.

    Half of the answers came within `half_within_ms`, 95 % within `most_within_ms`; None where that took longer than the
    longest time that is told apart.
    """

    bars: list[Bar]
    answers: int = 0
    half_within_ms: int | None = None
    most_within_ms: int | None = None

    @property
    def succeeded(self) -> int:
        return sum(bar.succeeded for bar in self.bars)

    @property
    def failed(self) -> int:
        return sum(bar.failed for bar in self.bars)

    @property
    def died(self) -> int:
        return sum(bar.died for bar in self.bars)

    @property
    def unsuccessful(self) -> int:
        return self.failed + self.died

    @property
    def attempts(self) -> int:
        return self.succeeded + self.unsuccessful

    def follow(self, last_delivery: Delivery | None) -> bool:
        """Tell whether there is nothing only because attempts are counted a while after they were made.

        The newest delivery of the webhook tells, so that nobody has to look for attempts. While it waits for its first
        one, that of an older delivery may have been made just now.
        """
        if self.attempts or last_delivery is None:
            return False
        start = self.bars[0].start
        if last_delivery.created_at >= start:
            return last_delivery.attempt_count > 0 or last_delivery.next_attempt_at is not None
        ended_at = last_delivery.finished_at
        return ended_at is not None and ended_at >= start and last_delivery.status != Delivery.Status.CANCELLED


def last_days(webhooks: Iterable[Webhook], days: int = CARD_DAYS) -> dict[UUID, Figures]:
    """Return of each webhook the bars of the last days, of the reader's time zone, today last; no response times."""
    bars = {webhook.pk: _empty_days(days) for webhook in webhooks}
    for row in _by_day(bars, days, OUTCOMES):
        _add(bars[row["webhook"]][row["number"]], row)
    return {webhook_id: Figures(by_day) for webhook_id, by_day in bars.items()}


def last_day_week_and_month(webhook: Webhook) -> tuple[Figures, Figures, Figures]:
    """Return the figures of the last 24 hours by the hour, and of the last 7 and 30 days by the day."""
    # Counts are by the hour of UTC, which does not begin with the hour of every time zone.
    first_hour = timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0) - 23 * HOUR
    hours = list(HourlyCount.objects.filter(webhook=webhook, hour__gte=first_hour).values("hour", *OUTCOMES, *TIMES))
    for row in hours:
        row["number"] = (row["hour"] - first_hour) // HOUR
    by_hour = [Bar(first_hour + number * HOUR) for number in range(24)]
    days = _by_day([webhook.pk], 30, (*OUTCOMES, *TIMES))
    week = [row | {"number": row["number"] - 23} for row in days if row["number"] >= 23]
    return _figures(hours, by_hour), _figures(week, _empty_days(7)), _figures(days, _empty_days(30))


def _by_day(webhook_ids: Iterable[UUID], days: int, columns: Iterable[str]) -> list[dict[str, Any]]:
    """Return the sums by webhook and day, with the number of the day, 0 the first.

    The database is told when each day begins, so that it need not know the reader's time zone, nor how clocks change.
    """
    first, *others = (bar.start for bar in _empty_days(days))
    numbers = [When(hour__lt=start, then=Value(number)) for number, start in enumerate(others)]
    sums = (
        HourlyCount.objects.filter(webhook__in=webhook_ids, hour__gte=first)
        .annotate(number=Case(*numbers, default=Value(days - 1)))
        .values("webhook", "number")
        .annotate(**{column: Sum(column) for column in columns})
    )
    return [dict(row) for row in sums]


def _add(bar: Bar, row: dict[str, Any]) -> None:
    bar.succeeded += row["succeeded"]
    bar.failed += row["failed"]
    bar.died += row["died"]


def _figures(rows: list[dict[str, Any]], bars: list[Bar]) -> Figures:
    for row in rows:
        if row["number"] < len(bars):
            _add(bars[row["number"]], row)
    times = [sum(row[column] for row in rows) for column in TIMES]
    return Figures(bars, sum(times), _within(times, 0.5), _within(times, MOST))


def _within(times: list[int], share: float) -> int | None:
    """Return the smallest bound within which `share` of the answers came."""
    needed = share * sum(times)
    so_far = 0
    for count, bound in zip(times, WITHIN_MS, strict=False):
        so_far += count
        if so_far >= needed:
            return bound
    return None


def _empty_days(days: int) -> list[Bar]:
    today = timezone.localdate()
    return [Bar(_midnight(today - number * DAY)) for number in range(days - 1, -1, -1)]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
