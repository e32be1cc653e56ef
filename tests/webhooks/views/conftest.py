import pytest
from django.urls import reverse
from pytest_django import Settings

from accounts.models import Account
from webhooks.engine import guard
from webhooks.models import Webhook


@pytest.fixture(autouse=True)
def no_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the forms from looking up host names; 10.0.0.1 stays refused."""

    def check_url(url: str) -> None:
        if "//10.0.0.1" in url:
            raise guard.Refused

    monkeypatch.setattr(guard, "check_url", check_url)


@pytest.fixture
def list_url(account: Account) -> str:
    return reverse("webhooks:webhook_list", args=[account.pk])


@pytest.fixture
def create_url(account: Account) -> str:
    return reverse("webhooks:webhook_create", args=[account.pk])


@pytest.fixture
def update_url(webhook: Webhook) -> str:
    return reverse("webhooks:webhook_update", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def remove_url(webhook: Webhook) -> str:
    return reverse("webhooks:webhook_remove", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def lost_key(webhook: Webhook, settings: Settings) -> None:
    """Let the secret of the webhook be unreadable: the key that it was encrypted with is gone."""
    settings.WEBHOOK_SECRET_KEYS = ["YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtYWx0b2dldGg="]


@pytest.fixture
def detail_url(webhook: Webhook) -> str:
    return reverse("webhooks:webhook_detail", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def live_url(webhook: Webhook) -> str:
    return reverse("webhooks:webhook_live", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def disable_url(webhook: Webhook) -> str:
    return reverse("webhooks:webhook_disable", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def enable_url(webhook: Webhook) -> str:
    return reverse("webhooks:webhook_enable", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def rotate_url(webhook: Webhook) -> str:
    return reverse("webhooks:secret_rotate", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def overlap_end_url(webhook: Webhook) -> str:
    return reverse("webhooks:overlap_end", args=[webhook.account_id, webhook.pk])
