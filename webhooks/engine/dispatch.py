"""From an event to a delivery for each webhook that asked for it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from webhooks.engine.claim import Claim, lease_from
from webhooks.engine.postgresql import array
from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import text_of, uuid7

# One transaction takes so many events, and no more once they have made so many deliveries.
MOST_EVENTS = 500
MOST_DELIVERIES = 5000
LOCK_POSTGRESQL = """
SELECT event.id, event.account_id, event.type_id, type.delivered, event.body
FROM webhooks_event AS event JOIN webhooks_eventtype AS type ON type.key = event.type_id
WHERE event.status = 'NEW'
ORDER BY event.id LIMIT %s
FOR NO KEY UPDATE OF event SKIP LOCKED
"""
COPY_DELIVERIES = """
COPY webhooks_delivery (
    id, event_id, webhook_id, url, status, end_reason, priority, attempt_count, budget_start, next_attempt_at,
    leased_until, created_at
) FROM STDIN
"""
MARK_POSTGRESQL = """
UPDATE webhooks_event AS event
SET status = CASE WHEN counted.deliveries > 0 THEN 'DISPATCHED' ELSE 'NO_SUBSCRIBERS' END,
    delivery_count = counted.deliveries,
    dispatched_at = %(now)s
FROM unnest(%(ids)s::uuid[], %(counts)s::int[]) AS counted(id, deliveries)
WHERE event.id = counted.id
"""


class Dispatched(NamedTuple):
    """How many events were dispatched, which deliveries were leased as they were made, whether events are left."""

    events: int
    claims: list[Claim]
    more_is_new: bool


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


class NewDelivery(NamedTuple):
    id: UUID
    event_id: UUID
    subscriber: Subscriber
    is_leased: bool


def take_nothing(webhook_id: UUID) -> bool:
    return False


def dispatch(wanted: Callable[[UUID], bool] = take_nothing, limit: int = MOST_EVENTS) -> Dispatched:
    """Make the deliveries of the oldest new events, up to `limit` of them.

    Those of webhooks for which `wanted` says so are leased as they are made, which saves claiming them. Workers that
    dispatch at the same time take different events.
    """
    new = Event.objects.filter(status=Event.Status.NEW).order_by("id")
    # Asked first without a lock, which SQLite has for the whole database only.
    if connection.vendor != "postgresql" and not new.exists():
        return Dispatched(0, [], more_is_new=False)
    limit = min(limit, MOST_EVENTS)
    with transaction.atomic():
        events = _lock(new, limit)
        if not events:
            return Dispatched(0, [], more_is_new=False)
        # The deliveries are as of this moment: who changes a webhook from here on may come too late.
        now = timezone.now()
        subscribers = _Subscribers({event.account_id for event in events if event.is_delivered})
        leased_until = lease_from(now)
        counts: dict[UUID, int] = {}
        deliveries: list[NewDelivery] = []
        claims: list[Claim] = []
        for event in events:
            if len(deliveries) >= MOST_DELIVERIES:
                break
            found = subscribers.of(event)
            counts[event.id] = len(found)
            for subscriber in found:
                is_taken = not subscriber.is_rationed and wanted(subscriber.webhook_id)
                delivery = NewDelivery(uuid7(), event.id, subscriber, is_taken)
                deliveries.append(delivery)
                if is_taken:
                    claims.append(_claim(delivery, event, leased_until))
        _insert(deliveries, leased_until, now)
        _mark(counts, now)
    return Dispatched(len(counts), claims, more_is_new=len(events) == limit or len(counts) < len(events))


def _lock(new: QuerySet[Event], limit: int) -> list[NewEvent]:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(LOCK_POSTGRESQL, [limit])
            return [NewEvent(*row) for row in cursor.fetchall()]
    rows = new.values_list("id", "account_id", "type_id", "type__delivered", "body")
    return [NewEvent(*row[:4], bytes(row[4])) for row in rows[:limit]]


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


def _claim(delivery: NewDelivery, event: NewEvent, leased_until: datetime) -> Claim:
    return Claim(
        delivery_id=delivery.id,
        webhook_id=delivery.subscriber.webhook_id,
        webhook_version=delivery.subscriber.version,
        event_id=event.id,
        event_type=event.type_id,
        body=event.body,
        priority=Delivery.Priority.FIRST_ATTEMPT,
        attempt_count=0,
        budget_start=0,
        leased_until=leased_until,
    )


def _insert(deliveries: list[NewDelivery], leased_until: datetime, now: datetime) -> None:
    if connection.vendor != "postgresql":
        rows = [
            Delivery(
                id=delivery.id,
                event_id=delivery.event_id,
                webhook_id=delivery.subscriber.webhook_id,
                url=delivery.subscriber.url,
                next_attempt_at=now,
                leased_until=leased_until if delivery.is_leased else None,
                created_at=now,
            )
            for delivery in deliveries
        ]
        Delivery.objects.bulk_create(rows, batch_size=1000)
        return
    moment, lease = str(now), str(leased_until)
    # COPY costs a third of an INSERT of the same rows through model instances. Django does not wrap its errors.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(COPY_DELIVERIES) as copy:
        for delivery in deliveries:
            copy.write_row(
                (
                    text_of(delivery.id),
                    text_of(delivery.event_id),
                    text_of(delivery.subscriber.webhook_id),
                    delivery.subscriber.url,
                    "PENDING",
                    "",
                    0,
                    0,
                    0,
                    moment,
                    lease if delivery.is_leased else None,
                    moment,
                )
            )


def _mark(counts: Mapping[UUID, int], now: datetime) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(MARK_POSTGRESQL, {"ids": array(counts), "counts": array(counts.values()), "now": now})
        return
    event_ids_by_count: defaultdict[int, list[UUID]] = defaultdict(list)
    for event_id, count in counts.items():
        event_ids_by_count[count].append(event_id)
    for count, event_ids in event_ids_by_count.items():
        status = Event.Status.DISPATCHED if count else Event.Status.NO_SUBSCRIBERS
        Event.objects.filter(pk__in=event_ids).update(status=status, delivery_count=count, dispatched_at=now)
