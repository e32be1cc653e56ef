"""What the scenarios do within a stack: each function runs in a process of it."""

import json
import time
from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Account
from webhooks import events, wake
from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import uuid7

EVENT_TYPE = "booking.created"
OBJECT = {"bookingCode": "WNK00001", "note": "x" * 680}
WATCH_SECONDS = 0.02
LONGEST_SECONDS = 55.0


class Delivered(TypedDict):
    deliveries: int
    seconds: float


def deliver(count: int, url: str, webhooks: int) -> Delivered:
    """Announce `count` events at once, in turn for `webhooks` accounts of one webhook each; wait until all have arrived.

    The time counts from the commit of the events to the moment at which no event and no delivery is unfinished.
    """
    _empty()
    account_ids = _make_accounts(url, webhooks)
    with transaction.atomic():
        _insert_events(account_ids, count)
        _analyze()
        started = time.monotonic()
    wake.ring()
    _wait_until_finished()
    seconds = time.monotonic() - started
    _check_succeeded(count)
    return Delivered(deliveries=count, seconds=seconds)


def _empty() -> None:
    """Remove all accounts with everything that belongs to them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE accounts_account CASCADE")
    else:
        Account.objects.all().delete()


def _make_accounts(url: str, count: int) -> list[UUID]:
    accounts = Account.objects.bulk_create([Account(name=f"Account {number}") for number in range(count)])
    Webhook.objects.bulk_create(
        [
            Webhook(account=account, name="Wink Stalker", url=f"{url}webhook/{number}")
            for number, account in enumerate(accounts)
        ]
    )
    return [account.pk for account in accounts]


def _insert_events(account_ids: Sequence[UUID], count: int) -> None:
    """Write events as `emit` does, many at once and without a bell."""
    now = timezone.now()
    announced = []
    for number in range(count):
        event = Event(
            id=uuid7(),
            account_id=account_ids[number % len(account_ids)],
            type_id=EVENT_TYPE,
            occurred_at=now,
            recipient_role=Event.RecipientRole.SELF,
            created_at=now,
        )
        event.body = events.envelope(event, OBJECT)
        announced.append(event)
    Event.objects.bulk_create(announced, batch_size=1000)


def _analyze() -> None:
    """Tell the planner, as autovacuum would have."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_event")


def _wait_until_finished() -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # The partial indexes say what is left at once; the tables would have to be read.
            cursor.execute("SET enable_seqscan = off")
    while Event.objects.filter(status=Event.Status.NEW).exists() or Delivery.objects.unfinished().exists():
        if time.monotonic() > deadline:
            raise TimeoutError(json.dumps(events.ledger().deliveries))
        time.sleep(WATCH_SECONDS)


def _check_succeeded(count: int) -> None:
    ledger = events.ledger()
    assert ledger.balances
    assert ledger.deliveries == {Delivery.Status.SUCCEEDED: count}, ledger.deliveries
    assert ledger.attempts == count, f"{ledger.attempts} attempts for {count} deliveries"
