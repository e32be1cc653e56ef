from datetime import UTC, datetime

import pytest
from pytest_django import Settings
from time_machine import TimeMachineFixture

from accounts.models import User
from tests.conftest import client_of
from webhooks import figures
from webhooks.models import HourlyCount, Webhook

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 21, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    "zone, shown",
    [
        ("Europe/Helsinki", "Nov. 24, 2026, 11:40 p.m. EET"),
        ("Asia/Kolkata", "Nov. 25, 2026, 3:10 a.m. IST"),
        ("", "Nov. 24, 2026, 4:40 p.m. EST"),
        ("Europe", "Nov. 24, 2026, 4:40 p.m. EST"),
        ("../../etc/passwd", "Nov. 24, 2026, 4:40 p.m. EST"),
    ],
)
def test_times_are_in_the_zone_that_the_browser_told(
    webhook: Webhook, owner: User, settings: Settings, zone: str, shown: str
) -> None:
    settings.TIME_ZONE = "America/New_York"
    Webhook.objects.filter(pk=webhook.pk).update(created_at=NOW)
    client = client_of(owner)
    client.cookies["winkhooks_time_zone"] = zone
    assert shown in client.get(f"/accounts/{webhook.account_id}/webhooks/{webhook.pk}/").text


def test_filters_are_read_in_it(webhook: Webhook, owner: User) -> None:
    client = client_of(owner)
    client.cookies["winkhooks_time_zone"] = "Asia/Tokyo"
    page = client.get(f"/accounts/{webhook.account_id}/events/")
    assert "Times are in the time zone Asia/Tokyo." in page.text


def test_attempts_are_counted_where_hours_begin_at_half_past(
    webhook: Webhook, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    time_machine.move_to(NOW, tick=False)
    HourlyCount.objects.create(webhook=webhook, hour=NOW.replace(minute=0), succeeded=7)
    by_hour, by_day, _ = figures.last_day_week_and_month(webhook)
    assert by_hour.bars[-1].succeeded == by_day.bars[-1].succeeded == 7
