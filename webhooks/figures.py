"""Figures and bars of webhooks, from the hourly counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from webhooks.models import HourlyCount, Webhook
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


def last_days(webhooks: Iterable[Webhook], days: int = CARD_DAYS) -> dict[UUID, Figures]:
    """Return of each webhook the bars of the last days, of the reader's time zone, today last; no response times."""
    first = _day_before_today(days - 1)
    bars = {webhook.pk: _empty_days(days) for webhook in webhooks}
    counts = (
        HourlyCount.objects.filter(webhook__in=bars, hour__gte=_midnight(first))
        .annotate(day=TruncDate("hour", tzinfo=timezone.get_current_timezone()))
        .values_list("webhook", "day")
        .annotate(Sum("succeeded"), Sum("failed"), Sum("died"))
    )
    for webhook_id, day, succeeded, failed, died in counts:
        if bar := bars[webhook_id].get(day):
            bar.succeeded, bar.failed, bar.died = succeeded, failed, died
    return {webhook_id: Figures(list(by_day.values())) for webhook_id, by_day in bars.items()}


def last_day_week_and_month(webhook: Webhook) -> tuple[Figures, Figures, Figures]:
    """Return the figures of the last 24 hours by the hour, and of the last 7 and 30 days by the day."""
    # The hours are those of UTC, which begin at half past in some zones.
    this_hour = timezone.localtime(timezone.now().replace(minute=0, second=0, microsecond=0))
    first_hour = this_hour - 23 * HOUR
    rows = list(
        HourlyCount.objects.filter(webhook=webhook, hour__gte=_midnight(_day_before_today(29))).values(
            "hour", *OUTCOMES, *TIMES
        )
    )
    return (
        _by_hour([row for row in rows if row["hour"] >= first_hour], first_hour),
        _by_day(rows, 7),
        _by_day(rows, 30),
    )


def _by_hour(rows: list[dict[str, Any]], first_hour: datetime) -> Figures:
    bars = {start: Bar(start) for start in (first_hour + number * HOUR for number in range(24))}
    return _figures(rows, [bars.get(row["hour"]) for row in rows], list(bars.values()))


def _by_day(rows: list[dict[str, Any]], days: int) -> Figures:
    bars = _empty_days(days)
    rows = [row for row in rows if timezone.localdate(row["hour"]) in bars]
    return _figures(rows, [bars[timezone.localdate(row["hour"])] for row in rows], list(bars.values()))


def _figures(rows: list[dict[str, Any]], bar_of_row: list[Bar | None], bars: list[Bar]) -> Figures:
    for row, bar in zip(rows, bar_of_row, strict=True):
        if bar:
            bar.succeeded += row["succeeded"]
            bar.failed += row["failed"]
            bar.died += row["died"]
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


def _empty_days(days: int) -> dict[date, Bar]:
    dates = [_day_before_today(number) for number in range(days - 1, -1, -1)]
    return {day: Bar(_midnight(day)) for day in dates}


def _day_before_today(days: int) -> date:
    return timezone.localdate() - days * DAY


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
