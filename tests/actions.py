"""What tests want done in a stack: each function runs in a process of it, through `Stack.call`."""

import dataclasses
import time
from typing import Any, TypedDict, cast

from django.db import transaction

from accounts.models import Account, Membership, Role, User
from webhooks import events
from webhooks.models import Delivery, Event, Webhook
from webhooks.signals import event_occurred


class Announced(TypedDict):
    event_ids: list[str]
    committed_at: float
    seconds: float


class Listener(TypedDict):
    account_id: str
    webhook_id: str
    secret: str


def make_listener(url: str) -> Listener:
    """Make an account with a webhook that gets every event."""
    account = Account.objects.create(name="Cool Account")
    webhook = Webhook.objects.create(account=account, name="Wink Stalker", url=url)
    return Listener(account_id=str(account.pk), webhook_id=str(webhook.pk), secret=webhook.secret)


def make_owner(email: str, password: str, account_names: list[str]) -> list[str]:
    """Make a user who owns accounts of these names; return their ids."""
    owner = User.objects.create_user(email, password, name="Olivia Owner")
    accounts = [Account.objects.create(name=name) for name in account_names]
    for account in accounts:
        Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    return [str(account.pk) for account in accounts]


def announce(account_id: str, count: int = 1) -> Announced:
    """Announce as a service does, in one transaction; `seconds` is how long it took until that was committed.

    `committed_at` is that moment of `time.monotonic`, which all processes of a machine share.
    """
    account = Account.objects.get(pk=account_id)
    # A service that has run for a while has read the catalogue and is connected.
    events.resolve_type("booking.created")
    started = time.monotonic()
    with transaction.atomic():
        announced = [_send(account, number) for number in range(count)]
    committed_at = time.monotonic()
    return Announced(
        event_ids=[str(event.pk) for event in announced], committed_at=committed_at, seconds=committed_at - started
    )


def announce_and_roll_back(account_id: str) -> str:
    """Announce in a transaction that is rolled back; return the id that the event would have had."""
    with transaction.atomic():
        event = _send(Account.objects.get(pk=account_id), 0)
        transaction.set_rollback(True)
    return str(event.pk)


def _send(account: Account, number: int) -> Event:
    ((_, event),) = event_occurred.send(
        sender=None, type="booking.created", account=account, object={"bookingCode": f"WNK{number:05}"}
    )
    return cast(Event, event)


def count_everything() -> dict[str, Any]:
    """Return `events.ledger()`, with whether it balances."""
    ledger = events.ledger()
    return {**dataclasses.asdict(ledger), "balances": ledger.balances, "unfinished": ledger.unfinished}


def statuses_of(webhook_id: str) -> list[str]:
    """Return the statuses that the webhook's deliveries have."""
    return sorted(Delivery.objects.filter(webhook_id=webhook_id).order_by().values_list("status", flat=True).distinct())


def event_exists(event_id: str) -> bool:
    return Event.objects.filter(pk=event_id).exists()


def wait_until_finished(seconds: float) -> bool:
    """Wait until nothing is left to deliver; return whether that came to be."""
    deadline = time.monotonic() + seconds
    while events.ledger().unfinished:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
