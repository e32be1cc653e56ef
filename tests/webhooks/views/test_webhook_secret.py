from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks.models import Webhook

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_changing_a_secret_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, webhook: Webhook, rotate_url: str, overlap_end_url: str
) -> None:
    client = client_of(request.getfixturevalue(name))
    for url in (rotate_url, overlap_end_url):
        assert client.get(url).status_code == status
        assert client.post(url, {"overlap": "0"}).status_code == status
    assert Webhook.objects.get().secret == webhook.secret


def test_they_send_the_anonymous_to_the_sign_in(webhook: Webhook, rotate_url: str, overlap_end_url: str) -> None:
    for url in (rotate_url, overlap_end_url):
        assert Client().post(url, {"overlap": "0"}).headers["Location"].startswith(reverse("accounts:sign_in"))


def test_the_form_offers_an_overlap_of_a_day(owner: User, webhook: Webhook, rotate_url: str) -> None:
    response = client_of(owner).get(rotate_url)
    assert_no_inline_code(response)
    page = text_of(response)
    assert '<input class="form-check-input" type="radio" name="overlap" value="24" id="id_overlap_0" checked>' in page
    for choice in (
        "stays valid for 24 hours",
        "stays valid for 7 days",
        "is invalid at once: choose this where it has leaked",
    ):
        assert choice in page
    assert webhook.secret not in page


@pytest.mark.parametrize("hours", [24, 168])
def test_both_secrets_are_valid_for_as_long_as_was_chosen(
    owner: User, webhook: Webhook, rotate_url: str, detail_url: str, clock: time_machine.Traveller, hours: int
) -> None:
    before = webhook.secret
    response = client_of(owner).post(rotate_url, {"overlap": str(hours)})
    assert response.headers["Location"] == detail_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "“Wink Stalker” has a new signing secret."
    ]
    webhook.refresh_from_db()
    until = NOW + timedelta(hours=hours)
    assert webhook.secret != before
    assert webhook.valid_secrets(until - timedelta(seconds=1)) == [webhook.secret, before]
    assert webhook.valid_secrets(until) == [webhook.secret]


def test_without_an_overlap_the_old_secret_ends_at_once(owner: User, webhook: Webhook, rotate_url: str) -> None:
    before = webhook.secret
    client_of(owner).post(rotate_url, {"overlap": "0"})
    webhook.refresh_from_db()
    assert before not in webhook.valid_secrets(NOW)


@pytest.mark.parametrize("overlap", ["", "12", "-1", "x"])
def test_no_other_overlap_is_taken(owner: User, webhook: Webhook, rotate_url: str, overlap: str) -> None:
    page = text_of(client_of(owner).post(rotate_url, {"overlap": overlap}))
    assert "Choose one of the three." in page
    assert Webhook.objects.get().secret == webhook.secret


def test_the_new_secret_is_shown_once(owner: User, webhook: Webhook, rotate_url: str) -> None:
    client = client_of(owner)
    response = client.post(rotate_url, {"overlap": "24"}, follow=True)
    webhook.refresh_from_db()
    assert f'<code class="signing-secret">{webhook.secret}</code>' in text_of(response)
    assert "no-store" in response.headers["Cache-Control"]
    again = text_of(client.get(response.request["PATH_INFO"]))
    assert webhook.secret not in again
    assert f"<code>…{webhook.secret[-4:]}</code>" in again


def test_the_new_secret_is_shown_to_nobody_else(
    owner: User, manager: User, webhook: Webhook, rotate_url: str, detail_url: str
) -> None:
    client_of(owner).post(rotate_url, {"overlap": "24"})
    webhook.refresh_from_db()
    assert webhook.secret not in text_of(client_of(manager).get(detail_url))


def test_switching_the_language_keeps_the_new_secret(owner: User, webhook: Webhook, rotate_url: str) -> None:
    client = client_of(owner)
    response = client.post(rotate_url, {"overlap": "24"}, follow=True)
    webhook.refresh_from_db()
    back = response.context["return_to"]
    response = client.post(reverse("accounts:language_set"), {"language": "fi", "next": back}, follow=True)
    assert "Webhookin ”Wink Stalker” allekirjoitusavain" in text_of(response)
    assert webhook.secret in text_of(response)


def test_the_overlap_can_be_ended(
    owner: User, webhook: Webhook, rotate_url: str, overlap_end_url: str, detail_url: str, clock: time_machine.Traveller
) -> None:
    client = client_of(owner)
    client.post(rotate_url, {"overlap": "24"})
    page = text_of(client.get(detail_url))
    assert "Previous secret valid until" in page
    assert "25 Nov 2026, 09:30 UTC" in page
    assert f'href="{overlap_end_url}"' in page
    assert "End the overlap now?" in text_of(client.get(overlap_end_url))
    response = client.post(overlap_end_url)
    assert response.headers["Location"] == detail_url
    assert [str(message) for message in get_messages(response.wsgi_request)][-1:] == [
        "The previous signing secret of “Wink Stalker” signs no more."
    ]
    webhook.refresh_from_db()
    assert (webhook.previous_secret, webhook.valid_secrets(NOW)) == ("", [webhook.secret])
    assert overlap_end_url not in text_of(client.get(detail_url))


def test_an_overlap_that_is_over_is_not_offered(
    owner: User,
    webhook: Webhook,
    rotate_url: str,
    overlap_end_url: str,
    detail_url: str,
    clock: time_machine.Traveller,
) -> None:
    client = client_of(owner)
    client.post(rotate_url, {"overlap": "24"})
    clock.shift(timedelta(hours=24))
    assert overlap_end_url not in text_of(client.get(detail_url))


def test_a_secret_that_cannot_be_read_can_be_replaced(
    owner: User, webhook: Webhook, lost_key: None, rotate_url: str, detail_url: str
) -> None:
    client = client_of(owner)
    assert "It cannot be read. Make a new one, for requests to be sent again." in text_of(client.get(detail_url))
    page = text_of(client.post(rotate_url, {"overlap": "24"}))
    assert "The present secret cannot be read, and so it cannot stay valid." in page
    client.post(rotate_url, {"overlap": "0"})
    assert Webhook.objects.get().secret.startswith("whsec_")


def test_a_removed_webhook_gets_no_secret(owner: User, webhook: Webhook, rotate_url: str, overlap_end_url: str) -> None:
    webhook.remove(owner)
    client = client_of(owner)
    assert client.post(rotate_url, {"overlap": "0"}).status_code == 404
    assert client.post(overlap_end_url).status_code == 404
    with pytest.raises(Webhook.DoesNotExist):
        webhook.rotate_secret(None)
    assert Webhook.objects.get().secret == ""
