import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Role, User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from tests.webhooks.views.test_webhook_update import waiting_delivery
from webhooks.models import Delivery, Webhook


def test_it_sends_the_anonymous_to_the_sign_in(webhook: Webhook, remove_url: str) -> None:
    assert Client().post(remove_url).headers["Location"].startswith(reverse("accounts:sign_in"))
    assert Webhook.objects.present().exists()


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_it_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, webhook: Webhook, remove_url: str
) -> None:
    client = client_of(request.getfixturevalue(name))
    assert client.get(remove_url).status_code == status
    assert client.post(remove_url).status_code == status
    assert Webhook.objects.present().exists()


def test_it_is_not_there_under_another_account(owner: User, webhook: Webhook) -> None:
    other = Account.objects.create(name="Other")
    other.memberships.create(user=owner, role=Role.OWNER)
    response = client_of(owner).post(reverse("webhooks:webhook_remove", args=[other.pk, webhook.pk]))
    assert response.status_code == 404
    assert Webhook.objects.present().exists()


@pytest.mark.parametrize(
    "language, words",
    [("en", ["Remove “Wink Stalker”?", "OK", "Cancel"]), ("fi", ["Poistetaanko ”Wink Stalker”?", "OK", "Peruuta"])],
)
def test_a_get_asks_and_removes_nothing(
    owner: User, webhook: Webhook, remove_url: str, language: str, words: list[str]
) -> None:
    page = text_of(client_of(owner).get(remove_url, headers={"accept-language": language}))
    assert all(word in page for word in words)
    assert Webhook.objects.present().exists()


@pytest.mark.parametrize("name", ["owner", "manager"])
def test_it_removes_and_leads_to_the_list(
    name: str, request: pytest.FixtureRequest, webhook: Webhook, remove_url: str, list_url: str
) -> None:
    user = request.getfixturevalue(name)
    response = client_of(user).post(remove_url)
    assert response.headers["Location"] == list_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Wink Stalker” was removed."]
    webhook.refresh_from_db()
    assert webhook.removed_at is not None
    assert webhook.removed_by == user
    assert webhook.secret == ""


def test_a_webhook_whose_key_was_lost_can_be_removed(
    owner: User, webhook: Webhook, lost_key: None, remove_url: str
) -> None:
    client = client_of(owner)
    assert client.get(remove_url).status_code == 200
    assert client.post(remove_url).status_code == 302
    assert not Webhook.objects.present().exists()


def test_what_waits_is_cancelled_and_stays_on_record(owner: User, webhook: Webhook, remove_url: str) -> None:
    waiting_delivery(webhook)
    client_of(owner).post(remove_url)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.end_reason) == ("CANCELLED", "WEBHOOK_REMOVED")


def test_a_removed_webhook_is_not_there(owner: User, webhook: Webhook, remove_url: str) -> None:
    client = client_of(owner)
    client.post(remove_url)
    assert client.get(remove_url).status_code == 404
    assert client.post(remove_url).status_code == 404


def test_it_escapes_the_name_and_has_no_inline_code(owner: User, webhook: Webhook, remove_url: str) -> None:
    Webhook.objects.update(name="<script>alert(1)</script>")
    response = client_of(owner).get(remove_url)
    assert "<script>alert" not in text_of(response)
    assert_no_inline_code(response)
