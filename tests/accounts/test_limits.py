import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone, translation

from accounts import audit, limits
from accounts.audit import Action, AuditEntry
from accounts.models import Account, User
from tests.conftest import client_of
from webhooks.models import Webhook


def do(by: User, times: int) -> None:
    for _ in range(times):
        with transaction.atomic():
            limits.check(limits.ACCOUNTS, by)
            audit.record(Action.ACCOUNT_CREATED, account=None, actor=by)


def test_it_says_when_to_try_again(owner: User) -> None:
    do(owner, 10)
    response = client_of(owner).post("/accounts/new/", {"name": "Grand Hotel"})
    assert response.status_code == 429
    assert 86000 < int(response["Retry-After"]) <= 86400
    page = response.content.decode()
    assert "You have created many accounts in the last 24 hours. Try again in 24 hours." in page
    assert not Account.objects.filter(name="Grand Hotel").exists()


def test_others_are_not_held_back_and_time_makes_room(owner: User, manager: User) -> None:
    do(owner, 10)
    do(manager, 1)
    with time_machine.travel(timezone.now() + timedelta(days=1, seconds=1)):
        do(owner, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.storage
def test_of_two_at_once_one_passes(owner: User) -> None:
    do(owner, 9)
    refused = []

    def try_it() -> None:
        try:
            do(owner, 1)
        except limits.TooMany as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert AuditEntry.objects.count() == 10


def test_an_account_has_so_many_webhooks(account: Account, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_WEBHOOKS", 1)
    Webhook.objects.create(account=account, name="First", url="https://a.example/")
    with pytest.raises(limits.TooLarge) as refusal:
        Webhook.objects.register(
            account=account, name="Second", url="https://b.example/", enabled=True, event_types=[], by=owner
        )
    assert str(refusal.value) == "This account has 1 webhooks, which is the most. Remove one first."


@pytest.mark.parametrize(
    "seconds, english",
    [
        (1, "Try again in 1 second."),
        (59, "Try again in 59 seconds."),
        (61, "Try again in 2 minutes."),
        (3600, "Try again in 60 minutes."),
        (3601, "Try again in 2 hours."),
    ],
)
def test_it_says_how_long(seconds: int, english: str) -> None:
    with translation.override("en"):
        assert limits.wait_sentence(seconds) == english
