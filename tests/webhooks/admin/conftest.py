from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, User
from tests.conftest import PASSWORD, client_of
from tests.webhooks.admin.pages import NASTY, PREVIOUS_SECRET, SECRET, make_attempt, make_delivery, make_recovery
from webhooks import wake
from webhooks.models import Attempt, Webhook


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("root@example.com", PASSWORD)


@pytest.fixture
def client(superuser: User) -> Client:
    return client_of(superuser)


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    rung: list[str | None] = []
    monkeypatch.setattr(wake, "ring_on_commit", lambda using=None: rung.append(using))
    return rung


@pytest.fixture
def webhook(account: Account) -> Webhook:
    return Webhook.objects.create(
        account=account,
        name=f"Wink Stalker {NASTY}",
        url="https://my.system.example/webhook/wink",
        secret=SECRET,
        previous_secret=PREVIOUS_SECRET,
        previous_secret_expires_at=timezone.now() + timedelta(days=1),
    )


@pytest.fixture
def attempt(webhook: Webhook) -> Attempt:
    make_recovery(webhook)
    return make_attempt(make_delivery(webhook, "RETRYING"))
