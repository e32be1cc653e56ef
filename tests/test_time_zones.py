"""Times on pages are those of the reader."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone, translation
from pytest_django import Settings

from accounts.models import Account, User
from tests.conftest import client_of
from winkhooks.middleware import in_time_zone_of_reader

MOMENT = datetime(2026, 11, 24, 22, 30, 15, 250_000, tzinfo=UTC)


def zone_with(cookie: str | None) -> str:
    """Return the time zone in which a request with this cookie is answered."""
    seen = []

    def get_response(request: HttpRequest) -> HttpResponse:
        seen.append(timezone.get_current_timezone_name())
        return HttpResponse()

    request = RequestFactory().get("/")
    if cookie is not None:
        request.COOKIES["winkhooks_time_zone"] = cookie
    in_time_zone_of_reader(get_response)(request)
    return seen[0]


def test_the_time_zone_is_that_of_the_browser() -> None:
    assert zone_with("Europe/Helsinki") == "Europe/Helsinki"


@pytest.mark.parametrize("cookie", [None, "", "UTC", "Europe/Atlantis", "../../etc/passwd", "\0", "x" * 5000])
def test_else_it_is_that_of_the_site(cookie: str | None) -> None:
    assert zone_with(cookie) == "UTC"


def test_one_request_leaves_no_time_zone_to_the_next() -> None:
    zone_with("Asia/Tokyo")
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.parametrize(
    "tag, language, shown",
    [
        ("short_time", "en", "Nov. 25, 2026, 12:30 a.m. EET"),
        ("exact_time", "en", "Nov. 25, 2026 00:30:15 EET"),
        ("day", "en", "Nov. 25, 2026"),
        ("short_time", "fi", "25. marraskuuta 2026 kello 0.30 EET"),
        ("exact_time", "fi", "25. marraskuuta 2026 00:30:15 EET"),
    ],
)
def test_a_time_says_its_zone_and_has_the_exact_one(tag: str, language: str, shown: str) -> None:
    with timezone.override("Europe/Helsinki"), translation.override(language):
        page = Template(f"{{% load times %}}{{% {tag} moment %}}").render(Context({"moment": MOMENT}))
    start = '<time datetime="2026-11-25T00:30:15.250000+02:00" title="2026-11-24 22:30:15.250 UTC">'
    assert page == f"{start}{shown}</time>"


def test_a_page_is_in_the_readers_zone(owner: User, account: Account) -> None:
    Account.objects.update(created_at=MOMENT)
    client = client_of(owner)
    client.cookies["winkhooks_time_zone"] = "Europe/Helsinki"
    assert "Nov. 25, 2026" in client.get(f"/accounts/{account.pk}/").content.decode()


def test_what_is_typed_is_in_the_readers_zone(owner: User, account: Account, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    client = client_of(owner)
    query = {"since": "2026-11-24T09:30"}

    def since() -> Any:
        form = client.get(f"/accounts/{account.pk}/events/", query).context["form"]
        return form.cleaned_data["since"].astimezone(UTC)

    assert since() == datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
    client.cookies["winkhooks_time_zone"] = "Europe/Helsinki"
    assert since() == datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
