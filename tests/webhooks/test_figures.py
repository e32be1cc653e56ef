from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import Account
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import make_webhook
from webhooks import figures
from webhooks.figures import Bar, Figures
from webhooks.models import HourlyCount, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def count(webhook: Webhook, ago: timedelta, **counts: int) -> None:
    hour = (NOW - ago).replace(minute=0)
    HourlyCount.objects.create(webhook=webhook, hour=hour, **counts)


def shown(some: Figures) -> list[tuple[str, int, int, int]]:
    return [
        (f"{bar.start:%m-%d %H}", bar.succeeded, bar.failed, bar.died)
        for bar in some.bars
        if bar.succeeded or bar.unsuccessful
    ]


def test_the_bars_of_cards_are_days_with_today_last(
    account: Account, webhook: Webhook, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    other = make_webhook(account, "https://b.example/", name="Another")
    count(webhook, HOUR, succeeded=3, failed=1)
    count(webhook, 2 * HOUR, succeeded=4, died=2)
    count(webhook, 13 * DAY, died=5)
    count(webhook, 14 * DAY, succeeded=100)
    count(other, DAY, failed=7)
    with django_assert_num_queries(1):
        by_webhook = figures.last_days([webhook, other])
    assert shown(by_webhook[webhook.pk]) == [("11-11 00", 0, 0, 5), ("11-24 00", 7, 1, 2)]
    assert shown(by_webhook[other.pk]) == [("11-23 00", 0, 7, 0)]
    assert len(by_webhook[webhook.pk].bars) == 14
    assert (by_webhook[webhook.pk].succeeded, by_webhook[webhook.pk].unsuccessful) == (7, 8)


@pytest.mark.parametrize(
    "status, fields, follow",
    [
        ("SUCCEEDED", {"attempt_count": 1}, True),
        ("RETRYING", {"attempt_count": 1}, True),
        # An older one may have been tried just now.
        ("PENDING", {}, True),
        ("CANCELLED", {"attempt_count": 0}, False),
        ("DEAD", {"attempt_count": 10, "created_at": NOW - 15 * DAY, "finished_at": NOW}, True),
        ("DEAD", {"attempt_count": 1, "created_at": NOW - 15 * DAY, "finished_at": NOW - 15 * DAY}, False),
        ("CANCELLED", {"attempt_count": 1, "created_at": NOW - 15 * DAY, "finished_at": NOW}, False),
    ],
)
def test_figures_follow_where_there_were_attempts(
    webhook: Webhook, status: str, fields: dict[str, Any], follow: bool
) -> None:
    delivery = make_delivery(webhook, status)
    for name, value in fields.items():
        setattr(delivery, name, value)
    [none_yet] = figures.last_days([webhook]).values()
    assert none_yet.follow(delivery) == follow
    assert not none_yet.follow(None)
    count(webhook, HOUR, succeeded=1)
    assert not figures.last_days([webhook])[webhook.pk].follow(delivery)


def test_days_are_those_of_the_site(webhook: Webhook, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    count(webhook, 19 * HOUR, succeeded=1)
    count(webhook, 18 * HOUR, succeeded=2)
    assert shown(figures.last_days([webhook])[webhook.pk]) == [("11-23 00", 1, 0, 0), ("11-24 00", 2, 0, 0)]


def test_days_and_hours_are_those_of_the_reader(webhook: Webhook) -> None:
    """Also where the hours of a zone begin within those that are counted."""
    count(webhook, 15 * HOUR, succeeded=1)
    count(webhook, 14 * HOUR, succeeded=2)
    with timezone.override("Asia/Kolkata"):
        days = figures.last_days([webhook])[webhook.pk]
        day, week, _ = figures.last_day_week_and_month(webhook)
        hours = [(f"{timezone.localtime(bar.start):%m-%d %H:%M}", bar.succeeded) for bar in day.bars if bar.succeeded]
    assert shown(days) == shown(week) == [("11-23 00", 1, 0, 0), ("11-24 00", 2, 0, 0)]
    assert hours == [("11-23 23:30", 1), ("11-24 00:30", 2)]


def test_a_page_shows_a_day_by_the_hour_and_a_week_and_a_month_by_the_day(
    webhook: Webhook, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    count(webhook, timedelta(), succeeded=1)
    count(webhook, 23 * HOUR, succeeded=2)
    count(webhook, 24 * HOUR, failed=4)
    count(webhook, 6 * DAY, died=8)
    count(webhook, 29 * DAY, succeeded=16)
    count(webhook, 30 * DAY, succeeded=32)
    with django_assert_num_queries(2):
        day, week, month = figures.last_day_week_and_month(webhook)
    assert shown(day) == [("11-23 10", 2, 0, 0), ("11-24 09", 1, 0, 0)]
    assert shown(week) == [("11-18 00", 0, 0, 8), ("11-23 00", 2, 4, 0), ("11-24 00", 1, 0, 0)]
    assert shown(month)[0] == ("10-26 00", 16, 0, 0)
    assert [len(some.bars) for some in (day, week, month)] == [24, 7, 30]
    assert (month.succeeded, month.failed, month.died, month.attempts) == (19, 4, 8, 31)


def test_a_day_on_which_the_clocks_change_is_one_day(webhook: Webhook, settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/Helsinki"
    with time_machine.travel("2026-10-26T10:00:00Z", tick=False):
        starts = [bar.start.isoformat() for bar in figures.last_days([webhook])[webhook.pk].bars]
    assert starts[-2:] == ["2026-10-25T00:00:00+03:00", "2026-10-26T00:00:00+02:00"]


@pytest.mark.parametrize(
    "counts, half, most",
    [
        ({}, 10, 10),
        ({"within_50_ms": 1}, 50, 50),
        ({"within_50_ms": 95, "within_1000_ms": 5}, 50, 50),
        ({"within_50_ms": 94, "within_1000_ms": 6}, 50, 1000),
        ({"within_50_ms": 49, "within_100_ms": 1, "slower": 50}, 100, None),
        ({"slower": 3}, None, None),
    ],
)
def test_response_times_are_the_bounds_within_which_so_many_answers_came(
    webhook: Webhook, counts: dict[str, Any], half: int | None, most: int | None
) -> None:
    count(webhook, HOUR, **counts)
    day, _, _ = figures.last_day_week_and_month(webhook)
    assert (day.half_within_ms, day.most_within_ms) == (half, most)
    assert day.answers == sum(counts.values())


def test_what_did_not_succeed_is_what_failed_and_what_died() -> None:
    assert Bar(NOW, succeeded=1, failed=2, died=3).unsuccessful == 5


def test_attempts_are_counted_where_hours_begin_at_half_past(webhook: Webhook, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    now = datetime(2026, 11, 24, 21, 40, tzinfo=UTC)
    HourlyCount.objects.create(webhook=webhook, hour=now.replace(minute=0), succeeded=7)
    with time_machine.travel(now, tick=False):
        by_hour, by_day, _ = figures.last_day_week_and_month(webhook)
    assert by_hour.bars[-1].succeeded == by_day.bars[-1].succeeded == 7
