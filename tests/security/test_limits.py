"""What people may do so often, and how large what they send may be: refused in the pages, with the time to wait."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import audit, limits
from accounts.limits import Limit
from accounts.models import User
from tests.security.cast import Estate, everything, make_estate, signed_in

KEY = "019ab2a0-0000-7000-8000-00000000c001"
SPAN = {"since": "2026-11-01T00:00", "until": "2026-11-02T00:00", "time_zone": "UTC"}
LIMITED: list[tuple[str, dict[str, Any], Limit, str]] = [
    ("accounts:account_create", {"name": "Grand Hotel"}, limits.ACCOUNTS, "24 hours"),
    ("accounts:invitation_create", {"email": "new@example.com", "role": "viewer"}, limits.INVITATIONS, "60 minutes"),
    ("accounts:invitation_resend", {}, limits.INVITATIONS, "60 minutes"),
    ("webhooks:test_event", {"type": "booking.created", "object": "{}", "key": KEY}, limits.TEST_EVENTS, "10 minutes"),
    ("webhooks:recovery_create", {"kind": "FAILED", **SPAN}, limits.RECOVERIES, "60 minutes"),
    ("webhooks:delivery_retry", {}, limits.REDELIVERIES, "10 minutes"),
    ("webhooks:delivery_redeliver", {}, limits.REDELIVERIES, "10 minutes"),
    ("webhooks:secret_rotate", {"overlap": "0"}, limits.SECRETS, "60 minutes"),
]
IDS = {
    "accounts:account_create": (),
    "accounts:invitation_create": ("account_id",),
    "accounts:invitation_resend": ("account_id", "invitation_id"),
    "webhooks:test_event": ("account_id", "webhook_id"),
    "webhooks:recovery_create": ("account_id", "webhook_id"),
    "webhooks:delivery_retry": ("account_id", "webhook_id", "delivery_id"),
    "webhooks:delivery_redeliver": ("account_id", "webhook_id", "delivery_id"),
    "webhooks:secret_rotate": ("account_id", "webhook_id"),
}
# What a page takes in one go, and more than that.
MOST_BYTES = 2_500_000
PASTED_INTO = [("webhooks:signature_check", "body"), ("webhooks:test_event", "object")]


def do_all(limit: Limit, by: User) -> None:
    with transaction.atomic():
        for _ in range(limit.most):
            audit.record(limit.actions[-1], account=None, actor=by)


def url_of(name: str, estate: Estate) -> str:
    return reverse(name, args=[estate.ids()[each] for each in IDS.get(name, ())])


@pytest.fixture
def estate(db: None) -> Estate:
    estate = make_estate("Cool Account")
    # An invitation is not sent again at once.
    type(estate.invitation).objects.update(sent_at=timezone.now() - timedelta(hours=1))
    return estate


def test_every_limit_is_tried() -> None:
    known = {each for each in vars(limits).values() if isinstance(each, Limit)}
    assert {limit for _, _, limit, _ in LIMITED} == known


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name, posted, limit, wait", LIMITED, ids=[each[0] for each in LIMITED])
@pytest.mark.parametrize("language, words", [("en", "Try again in"), ("fi", "Yritä uudelleen")])
def test_too_many_are_refused_with_the_time_to_wait(
    estate: Estate, name: str, posted: dict[str, Any], limit: Limit, wait: str, language: str, words: str
) -> None:
    do_all(limit, estate.owner)
    before = everything()

    response = signed_in(estate.owner).post(url_of(name, estate), posted, headers={"accept-language": language})

    assert response.status_code == 429
    seconds = limit.within.total_seconds()
    assert seconds - 60 < int(response["Retry-After"]) <= seconds
    page = response.content.decode()
    assert words in page
    assert language == "fi" or f"{words} {wait}." in page
    assert everything() == before


@pytest.mark.parametrize("name, field", PASTED_INTO)
@pytest.mark.parametrize("size, status", [(MOST_BYTES - 5000, 200), (3_000_000, 400)])
def test_what_is_pasted_has_a_bound(estate: Estate, name: str, field: str, size: int, status: int) -> None:
    response = signed_in(estate.owner).post(
        url_of(name, estate), f"{field}={'a' * size}", content_type="application/x-www-form-urlencoded"
    )
    assert response.status_code == status


def test_a_form_has_so_many_fields(estate: Estate, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
    body = "&".join(f"event_types={number}" for number in range(101))
    url = reverse("webhooks:webhook_create", args=[estate.account.pk])
    response = signed_in(estate.owner).post(url, body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 400


@pytest.mark.parametrize("name, field", PASTED_INTO)
def test_no_large_file_is_read(estate: Estate, name: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not bounded by what bounds fields."""
    monkeypatch.setattr("django.http.request.HttpRequest.parse_file_upload", lambda *args: pytest.fail("It was read."))
    file = SimpleUploadedFile("body.json", b"a" * 3_000_000)
    assert signed_in(estate.owner).post(url_of(name, estate), {field: file}).status_code == 400
