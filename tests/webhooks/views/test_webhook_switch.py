import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.conftest import client_of
from tests.webhooks.clocked import make_delivery
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks.models import Webhook


def switch_off(webhook: Webhook) -> None:
    webhook.disable(Webhook.DisabledReason.GONE)


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_disabling_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, webhook: Webhook, disable_url: str
) -> None:
    client = client_of(request.getfixturevalue(name))
    assert client.get(disable_url).status_code == status
    assert client.post(disable_url).status_code == status
    assert Webhook.objects.get().enabled


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_enabling_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, webhook: Webhook, enable_url: str
) -> None:
    switch_off(webhook)
    assert client_of(request.getfixturevalue(name)).post(enable_url).status_code == status
    assert not Webhook.objects.get().enabled


def test_they_send_the_anonymous_to_the_sign_in(webhook: Webhook, disable_url: str, enable_url: str) -> None:
    for url in (disable_url, enable_url):
        assert Client().post(url).headers["Location"].startswith(reverse("accounts:sign_in"))


def test_asking_disables_nothing_and_says_what_would_happen(owner: User, webhook: Webhook, disable_url: str) -> None:
    response = client_of(owner).get(disable_url)
    assert_no_inline_code(response)
    assert "Disable “Wink Stalker”?" in text_of(response)
    assert "No more events are sent to it, and those that wait are cancelled." in text_of(response)
    assert Webhook.objects.get().enabled


@pytest.mark.parametrize("role", ["owner", "manager"])
def test_ok_disables_the_webhook_and_cancels_what_waits(
    role: str, request: pytest.FixtureRequest, webhook: Webhook, disable_url: str, detail_url: str
) -> None:
    user = request.getfixturevalue(role)
    waiting = make_delivery(webhook)
    response = client_of(user).post(disable_url)
    assert response.headers["Location"] == detail_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Wink Stalker” was disabled."]
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_reason, webhook.disabled_by) == (False, "BY_USER", user)
    waiting.refresh_from_db()
    assert waiting.end_reason == "WEBHOOK_DISABLED"


def test_enabling_forgets_why_it_was_off(owner: User, webhook: Webhook, enable_url: str, detail_url: str) -> None:
    switch_off(webhook)
    response = client_of(owner).post(enable_url)
    assert response.headers["Location"] == detail_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Wink Stalker” was enabled."]
    assert Webhook.objects.get().enabled


def test_a_link_alone_enables_nothing(owner: User, webhook: Webhook, enable_url: str) -> None:
    switch_off(webhook)
    assert client_of(owner).get(enable_url).status_code == 405
    assert not Webhook.objects.get().enabled


def test_they_lead_back_to_where_one_came_from(owner: User, disable_url: str, enable_url: str, list_url: str) -> None:
    client = client_of(owner)
    for url in (disable_url, enable_url):
        response = client.post(f"{url}?next={list_url}%3Fstate%3Ddisabled")
        assert response.headers["Location"] == f"{list_url}?state=disabled"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_they_lead_nowhere_else(owner: User, disable_url: str, detail_url: str, elsewhere: str) -> None:
    client = client_of(owner)
    assert client.post(f"{disable_url}?next={elsewhere}").headers["Location"] == detail_url
    assert f'href="{elsewhere}' not in text_of(client.get(f"{disable_url}?next={elsewhere}"))


def test_a_removed_webhook_is_not_there(owner: User, webhook: Webhook, disable_url: str, enable_url: str) -> None:
    webhook.remove(owner)
    client = client_of(owner)
    assert client.post(disable_url).status_code == 404
    assert client.post(enable_url).status_code == 404
