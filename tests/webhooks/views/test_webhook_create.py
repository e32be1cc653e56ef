from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Role, User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks.models import Webhook


def posted(account: Account, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Wink Stalker",
        "enabled": "on",
        "account": str(account.pk),
        "event_types": ["booking.created"],
        "url": "https://my.system.com/webhook/wink",
    } | changes


def test_it_sends_the_anonymous_to_the_sign_in(account: Account, create_url: str) -> None:
    response = Client().post(create_url, posted(account))
    assert response.headers["Location"].startswith(reverse("accounts:sign_in"))
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_it_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, account: Account, create_url: str
) -> None:
    client = client_of(request.getfixturevalue(name))
    assert client.get(create_url).status_code == status
    assert client.post(create_url, posted(account)).status_code == status
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("name", ["owner", "manager"])
def test_it_creates_a_webhook_and_leads_to_the_list(
    name: str, request: pytest.FixtureRequest, account: Account, create_url: str, list_url: str
) -> None:
    user = request.getfixturevalue(name)
    response = client_of(user).post(create_url, posted(account))
    assert response.status_code == 302
    assert response.headers["Location"] == list_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Wink Stalker” was created."]
    webhook = Webhook.objects.get()
    assert (webhook.account, webhook.name, webhook.url) == (
        account,
        "Wink Stalker",
        "https://my.system.com/webhook/wink",
    )
    assert webhook.enabled
    assert webhook.created_by == user
    assert [event_type.key for event_type in webhook.event_types.all()] == ["booking.created"]
    assert webhook.secret.startswith("whsec_")


def test_without_enable_it_creates_a_disabled_webhook(owner: User, account: Account, create_url: str) -> None:
    fields = posted(account)
    del fields["enabled"]
    client_of(owner).post(create_url, fields)
    webhook = Webhook.objects.get()
    assert not webhook.enabled
    assert webhook.disabled_reason == Webhook.DisabledReason.BY_USER
    assert webhook.disabled_by == owner
    assert webhook.disabled_at is not None


def test_it_leads_to_the_list_of_the_account_chosen(owner: User, create_url: str) -> None:
    other = Account.objects.create(name="Other")
    other.memberships.create(user=owner, role=Role.MANAGER)
    response = client_of(owner).post(create_url, posted(other))
    assert response.headers["Location"] == reverse("webhooks:webhook_list", args=[other.pk])
    assert Webhook.objects.get().account == other


def test_it_stores_an_alias_as_the_key_that_it_stands_for(owner: User, account: Account, create_url: str) -> None:
    client_of(owner).post(create_url, posted(account, event_types=["booking.create"]))
    assert [event_type.key for event_type in Webhook.objects.get().event_types.all()] == ["booking.created"]


def test_no_event_chosen_is_stored_as_none(owner: User, account: Account, create_url: str) -> None:
    client_of(owner).post(create_url, posted(account, event_types=[]))
    assert not Webhook.objects.get().event_types.exists()


def test_it_preselects_the_account_that_it_was_opened_from(owner: User, account: Account, create_url: str) -> None:
    Account.objects.create(name="A first").memberships.create(user=owner, role=Role.OWNER)
    page = text_of(client_of(owner).get(create_url))
    assert f'<option value="{account.pk}" selected>Cool Account</option>' in page
    assert ">A first</option>" in page


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", ["Name", "Enable", "Entity name", "Events", "Webhook URL", "Save", "None chosen = all events"]),
        (
            "fi",
            ["Nimi", "Ota käyttöön", "Entiteetin nimi", "Tapahtumat", "Webhook-URL", "Tallenna", "kaikki tapah"],
        ),
    ],
)
def test_it_has_the_words_of_the_flow_in_order(owner: User, create_url: str, language: str, words: list[str]) -> None:
    page = text_of(client_of(owner).get(create_url, headers={"accept-language": language}))
    labels = [f">{word}</l" for word in words[:5]]
    positions = [page.index(label) for label in labels]
    assert positions == sorted(positions)
    assert all(word in page for word in words)


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", "What the events mean (opens in a new tab)"),
        ("fi", "Mitä tapahtumat tarkoittavat (avautuu uuteen välilehteen)"),
    ],
)
def test_it_leads_to_the_event_catalogue_and_keeps_the_form(
    owner: User, create_url: str, language: str, words: str
) -> None:
    page = text_of(client_of(owner).get(create_url, headers={"accept-language": language}))
    assert f'<a href="{reverse("webhooks:event_type_list")}" target="_blank">{words}</a>' in page


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("name", "", "Give the webhook a name."),
        ("url", "", "Enter the URL to which events are to be sent."),
        ("url", "/webhook", "Enter the whole URL, as in https://my.system.com/webhook/wink."),
        ("url", "http://my.system.com/", "The URL must begin with https://."),
        ("url", "https://me@my.system.com/", "The URL must not contain a user name or a password."),
        ("url", "https://10.0.0.1/", "Events cannot be sent to this host: it is not on the public internet."),
        ("event_types", "booking.exploded", "There is no event “booking.exploded” to choose."),
    ],
)
def test_bad_input_gets_the_form_again_with_what_was_typed(
    owner: User, account: Account, create_url: str, field: str, value: str, message: str
) -> None:
    response = client_of(owner).post(create_url, posted(account, **{"name": "Typed", field: value}))
    page = text_of(response)
    assert response.status_code == 200
    assert f'id="id_{field}_error"><li>{message}</li>' in page
    assert "Check the following and try again." in page
    assert f'<a href="#id_{field}">' in page
    typed = posted(account, **{"name": "Typed", field: value})
    for name in {"name", "url"} - {field if not value else ""}:
        assert f'value="{typed[name]}"' in page
    assert not Webhook.objects.exists()


def test_an_empty_post_gets_the_form_with_its_errors(owner: User, create_url: str) -> None:
    page = text_of(client_of(owner).post(create_url))
    assert "Give the webhook a name." in page


def test_it_escapes_what_was_typed(owner: User, account: Account, create_url: str) -> None:
    bad = '"><script>alert(1)</script>'
    page = text_of(client_of(owner).post(create_url, posted(account, name=bad, url=bad, event_types=[bad])))
    assert "<script>alert" not in page


def test_it_has_no_inline_code(owner: User, create_url: str) -> None:
    client = client_of(owner)
    assert_no_inline_code(client.get(create_url))
    assert_no_inline_code(client.post(create_url))
