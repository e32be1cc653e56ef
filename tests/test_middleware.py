from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account, User
from tests.conftest import client_of
from winkhooks.middleware import in_time_zone_of_reader

MOMENT = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)


class TestTimeZone:
    def zone_with(self, cookie: str | None) -> str:
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

    @pytest.mark.parametrize("cookie", ["Europe/Helsinki", "Asia/Kolkata", "UTC"])
    def test_it_is_that_of_the_browser(self, settings: Settings, cookie: str) -> None:
        settings.TIME_ZONE = "America/New_York"
        assert self.zone_with(cookie) == cookie

    @pytest.mark.parametrize(
        "cookie", [None, "", "Europe", "Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "\0", "x" * 5000]
    )
    def test_else_it_is_that_of_the_site(self, settings: Settings, cookie: str | None) -> None:
        settings.TIME_ZONE = "America/New_York"
        assert self.zone_with(cookie) == "America/New_York"

    def test_one_request_leaves_none_to_the_next(self) -> None:
        self.zone_with("Asia/Tokyo")
        assert timezone.get_current_timezone_name() == "UTC"

    @pytest.mark.django_db
    def test_a_page_shows_times_in_it(self, owner: User, account: Account) -> None:
        Account.objects.update(created_at=MOMENT)
        client = client_of(owner)
        client.cookies["winkhooks_time_zone"] = "Europe/Helsinki"
        assert "25 Nov 2026" in client.get(f"/accounts/{account.pk}/").content.decode()

    @pytest.mark.django_db
    def test_what_is_typed_is_read_in_it(self, owner: User, account: Account, settings: Settings) -> None:
        settings.TIME_ZONE = "Asia/Tokyo"
        client = client_of(owner)
        query = {"since": "2026-11-24T09:30"}

        def since() -> Any:
            page = client.get(f"/accounts/{account.pk}/events/", query)
            form = page.context["form"]
            assert f"Times are in the time zone {form.cleaned_data['since'].tzinfo}." in page.text
            return form.cleaned_data["since"].astimezone(UTC)

        assert since() == datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
        client.cookies["winkhooks_time_zone"] = "Europe/Helsinki"
        assert since() == datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
