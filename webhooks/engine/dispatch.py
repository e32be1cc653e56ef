"""From an event to a delivery for each webhook that asked for it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from webhooks.engine.claim import Claim, lease_from
from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import uuid7

BATCH = 500
COPY_DELIVERIES = """
COPY webhooks_delivery (
    id, event_id, webhook_id, url, status, end_reason, priority, attempt_count, budget_start, next_attempt_at,
    leased_until, created_at
) FROM STDIN
"""
MARK_POSTGRESQL = """
UPDATE webhooks_event AS event
SET status = CASE WHEN counted.deliveries > 0 THEN 'DISPATCHED' ELSE 'NO_SUBSCRIBERS' END,
    delivery_count = counted.deliveries
FROM unnest(%(ids)s::uuid[], %(counts)s::int[]) AS counted(id, deliveries)
WHERE event.id = counted.id
"""


@dataclass
class Dispatched:
    """How many events were dispatched, and the deliveries that were claimed as they were made."""

    events: int = 0
    claims: list[Claim] = field(default_factory=list)


class NewEvent(NamedTuple):
    id: UUID
    account_id: UUID
    type_id: str
    is_delivered: bool
    body: bytes


class Subscriber(NamedTuple):
    webhook_id: UUID
    version: int
    url: str
    is_rationed: bool


def take_nothing(webhook_id: UUID) -> bool:
    return False


def dispatch(wanted: Callable[[UUID], bool] = take_nothing) -> Dispatched:
    """Make the deliveries of the oldest new events, BATCH at most.

    Those of webhooks for which `wanted` says so are leased as they are made, which saves claiming them. Workers that
    dispatch at the same time take different events.
    """
    if not Event.objects.filter(status=Event.Status.NEW).exists():
        return Dispatched()
    with transaction.atomic():
        events = _lock_new_events()
        subscribers = _Subscribers({event.account_id for event in events if event.is_delivered})
        matches = {event.id: subscribers.of(event) for event in events}
        now = timezone.now()
        claims = [
            _make_claim(event, subscriber, now)
            for event in events
            for subscriber in matches[event.id]
            if not subscriber.is_rationed and wanted(subscriber.webhook_id)
        ]
        _insert_deliveries(matches, claims, now)
        _mark({event_id: len(found) for event_id, found in matches.items()})
    return Dispatched(len(events), claims)


def _lock_new_events() -> list[NewEvent]:
    new = Event.objects.select_for_update(skip_locked=True, of=("self",), no_key=True).filter(status=Event.Status.NEW)
    rows = new.order_by("id").values_list("id", "account_id", "type_id", "type__delivered", "body")
    return [NewEvent(*row[:4], bytes(row[4])) for row in rows[:BATCH]]


class _Subscribers:
    """The enabled webhooks of some accounts, by what they asked for; one that chose no event gets every one."""

    def __init__(self, account_ids: Iterable[UUID]) -> None:
        self._all: defaultdict[UUID, list[Subscriber]] = defaultdict(list)
        self._by_type: defaultdict[tuple[UUID, str], list[Subscriber]] = defaultdict(list)
        # A webhook comes once for each event type that it chose, or once with none.
        choices: Iterable[tuple[Any, ...]] = (
            Webhook.objects.present()
            .filter(account__in=account_ids, enabled=True)
            .order_by("id")
            .values_list("account_id", "event_types", "id", "version", "url", "rate_limit", "cooling_until")
        )
        for account_id, type_id, webhook_id, version, url, rate_limit, cooling_until in choices:
            is_rationed = rate_limit is not None or cooling_until is not None
            subscriber = Subscriber(webhook_id, version, url, is_rationed)
            if type_id is None:
                self._all[account_id].append(subscriber)
            else:
                self._by_type[account_id, type_id].append(subscriber)

    def of(self, event: NewEvent) -> list[Subscriber]:
        """Return who gets the event."""
        if not event.is_delivered:
            return []
        return self._all[event.account_id] + self._by_type[event.account_id, event.type_id]


def _make_claim(event: NewEvent, subscriber: Subscriber, now: datetime) -> Claim:
    return Claim(
        delivery_id=uuid7(),
        webhook_id=subscriber.webhook_id,
        webhook_version=subscriber.version,
        event_id=event.id,
        event_type=event.type_id,
        body=event.body,
        priority=Delivery.Priority.FIRST_ATTEMPT,
        attempt_count=0,
        budget_start=0,
        leased_until=lease_from(now),
    )


def _insert_deliveries(matches: Mapping[UUID, list[Subscriber]], claims: list[Claim], now: datetime) -> None:
    claimed = {(claim.event_id, claim.webhook_id): claim for claim in claims}
    rows = [
        (event_id, subscriber, claimed.get((event_id, subscriber.webhook_id)))
        for event_id, found in matches.items()
        for subscriber in found
    ]
    if connection.vendor != "postgresql":
        deliveries = [
            Delivery(
                id=claim.delivery_id if claim else uuid7(),
                event_id=event_id,
                webhook_id=subscriber.webhook_id,
                url=subscriber.url,
                next_attempt_at=now,
                leased_until=claim.leased_until if claim else None,
                created_at=now,
            )
            for event_id, subscriber, claim in rows
        ]
        Delivery.objects.bulk_create(deliveries, batch_size=1000)
        return
    # COPY costs a third of an INSERT of the same rows through model instances. Django does not wrap its errors.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(COPY_DELIVERIES) as copy:
        for event_id, subscriber, claim in rows:
            copy.write_row(
                (
                    claim.delivery_id if claim else uuid7(),
                    event_id,
                    subscriber.webhook_id,
                    subscriber.url,
                    "PENDING",
                    "",
                    0,
                    0,
                    0,
                    now,
                    claim.leased_until if claim else None,
                    now,
                )
            )


def _mark(counts: Mapping[UUID, int]) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(MARK_POSTGRESQL, {"ids": list(counts), "counts": list(counts.values())})
        return
    event_ids_by_count: defaultdict[int, list[UUID]] = defaultdict(list)
    for event_id, count in counts.items():
        event_ids_by_count[count].append(event_id)
    for count, event_ids in event_ids_by_count.items():
        status = Event.Status.DISPATCHED if count else Event.Status.NO_SUBSCRIBERS
        Event.objects.filter(pk__in=event_ids).update(status=status, delivery_count=count)
