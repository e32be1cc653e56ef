"""From an event to a delivery for each webhook that asked for it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from webhooks.engine.claim import Claim, lease_from
from webhooks.engine.postgresql import array
from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import uuid7_text

FIRST_ATTEMPT = int(Delivery.Priority.FIRST_ATTEMPT)
# One transaction takes so many events, and no more once they have made so many deliveries.
MOST_EVENTS = 500
MOST_DELIVERIES = 5000
LOCK_POSTGRESQL = """
SELECT event.id::text, event.account_id::text, event.type_id, type.delivered, event.body
FROM webhooks_event AS event JOIN webhooks_eventtype AS type ON type.key = event.type_id
WHERE event.status = 'NEW'
ORDER BY event.id LIMIT %s
FOR NO KEY UPDATE OF event SKIP LOCKED
"""
SUBSCRIBERS_POSTGRESQL = """
SELECT webhook.account_id::text, chosen.eventtype_id, webhook.id::text, webhook.version, webhook.url,
    webhook.rate_limit IS NOT NULL OR webhook.cooling_until IS NOT NULL
FROM webhooks_webhook AS webhook LEFT JOIN webhooks_webhook_event_types AS chosen ON chosen.webhook_id = webhook.id
WHERE webhook.account_id = ANY (%s::uuid[]) AND webhook.enabled AND webhook.removed_at IS NULL
ORDER BY webhook.id
"""
COPY_DELIVERIES = """
COPY webhooks_delivery (
    id, event_id, webhook_id, url, leased_until, next_attempt_at, created_at, status, end_reason, priority,
    attempt_count, budget_start
) FROM STDIN
"""
MARK_POSTGRESQL = """
UPDATE webhooks_event AS event
SET status = CASE WHEN counted.deliveries > 0 THEN 'DISPATCHED' ELSE 'NO_SUBSCRIBERS' END,
    delivery_count = counted.deliveries,
    dispatched_at = %(now)s
-- Where the planner sees how many there are, it may read the whole table.
FROM unnest((SELECT %(ids)s::uuid[]), (SELECT %(counts)s::int[])) AS counted(id, deliveries)
WHERE event.id = counted.id
"""


class Dispatched(NamedTuple):
    """How many events were dispatched, which deliveries were leased as they were made, whether events are left."""

    events: int
    claims: list[Claim]
    more_is_new: bool


class NewEvent(NamedTuple):
    id: str
    account_id: str
    type_id: str
    is_delivered: bool
    body: bytes


class Subscriber(NamedTuple):
    webhook_id: str
    version: int
    url: str
    is_rationed: bool


# Its id, its event, its webhook, the URL, and whether it is leased as it is made.
NewDelivery = tuple[str, str, str, str, bool]


def take_nothing(webhook_id: str) -> bool:
    return False


def dispatch(wanted: Callable[[str], bool] = take_nothing, limit: int = MOST_EVENTS) -> Dispatched:
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
        leased_until = lease_from(now)
        counts, deliveries, claims = _make_deliveries(events, wanted, leased_until)
        _insert(deliveries, leased_until, now)
        _mark(counts, now)
    return Dispatched(len(counts), claims, more_is_new=len(events) == limit or len(counts) < len(events))


def _make_deliveries(
    events: list[NewEvent], wanted: Callable[[str], bool], leased_until: datetime
) -> tuple[dict[str, int], list[NewDelivery], list[Claim]]:
    """Return of each event how many deliveries it gets, these, and the claims of those that are leased."""
    subscribers = _Subscribers({event.account_id for event in events if event.is_delivered})
    counts: dict[str, int] = {}
    deliveries: list[NewDelivery] = []
    claims: list[Claim] = []
    for event_id, account_id, type_id, is_delivered, body in events:
        if len(deliveries) >= MOST_DELIVERIES:
            break
        found = subscribers.of(account_id, type_id) if is_delivered else []
        counts[event_id] = len(found)
        for webhook_id, version, url, is_rationed in found:
            delivery_id = uuid7_text()
            is_leased = not is_rationed and wanted(webhook_id)
            deliveries.append((delivery_id, event_id, webhook_id, url, is_leased))
            if is_leased:
                fresh = (delivery_id, webhook_id, version, event_id, type_id, body, FIRST_ATTEMPT, 0, 0, leased_until)
                claims.append(Claim(*fresh))
    return counts, deliveries, claims


def _lock(new: QuerySet[Event], limit: int) -> list[NewEvent]:
    if connection.vendor == "postgresql":
        # In binary form, which cursors of Django do not have: as text each body would come twice as long.
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            cursor.execute(LOCK_POSTGRESQL, [limit], binary=True)
            return [NewEvent(*row) for row in cursor.fetchall()]
    rows = new.values_list("id", "account_id", "type_id", "type__delivered", "body")
    return [NewEvent(str(row[0]), str(row[1]), *row[2:4], bytes(row[4])) for row in rows[:limit]]


class _Subscribers:
    """The enabled webhooks of some accounts, by what they asked for; one that chose no event gets every one."""

    def __init__(self, account_ids: Iterable[str]) -> None:
        self._all: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._by_type: defaultdict[tuple[str, str], list[Subscriber]] = defaultdict(list)
        for account_id, type_id, *subscriber in _asked_for(account_ids):
            if type_id is None:
                self._all[account_id].append(Subscriber(*subscriber))
            else:
                self._by_type[account_id, type_id].append(Subscriber(*subscriber))

    def of(self, account_id: str, type_id: str) -> list[Subscriber]:
        """Return who gets an event."""
        return self._all[account_id] + self._by_type[account_id, type_id]


def _asked_for(account_ids: Iterable[str]) -> Iterable[tuple[Any, ...]]:
    """Return rows of account, event type and subscriber: one for each type that a webhook chose, or one with none."""
    if connection.vendor == "postgresql":
        # Putting the query together would take three times as long as the rest.
        with connection.cursor() as cursor:
            cursor.execute(SUBSCRIBERS_POSTGRESQL, [array(account_ids)])
            return list(cursor.fetchall())
    webhooks = Webhook.objects.present().filter(account__in=[UUID(pk) for pk in account_ids], enabled=True)
    rows = webhooks.order_by("id").values_list(
        "account_id", "event_types", "id", "version", "url", "rate_limit", "cooling_until"
    )
    return [
        (str(account_id), type_id, str(pk), version, url, rate_limit is not None or cooling_until is not None)
        for account_id, type_id, pk, version, url, rate_limit, cooling_until in rows
    ]


def _insert(deliveries: list[NewDelivery], leased_until: datetime, now: datetime) -> None:
    if connection.vendor != "postgresql":
        rows = [
            Delivery(
                id=delivery_id,
                event_id=event_id,
                webhook_id=webhook_id,
                url=url,
                next_attempt_at=now,
                leased_until=leased_until if is_leased else None,
                created_at=now,
            )
            for delivery_id, event_id, webhook_id, url, is_leased in deliveries
        ]
        Delivery.objects.bulk_create(rows, batch_size=1000)
        return
    moment, lease = str(now), str(leased_until)
    # COPY costs a third of an INSERT of the same rows through model instances. Django does not wrap its errors.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(COPY_DELIVERIES) as copy:
        for *ids_and_url, is_leased in deliveries:
            copy.write_row((*ids_and_url, lease if is_leased else None, moment, moment, "PENDING", "", 0, 0, 0))


def _mark(counts: Mapping[str, int], now: datetime) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(MARK_POSTGRESQL, {"ids": array(counts), "counts": array(counts.values()), "now": now})
        return
    event_ids_by_count: defaultdict[int, list[str]] = defaultdict(list)
    for event_id, count in counts.items():
        event_ids_by_count[count].append(event_id)
    for count, event_ids in event_ids_by_count.items():
        status = Event.Status.DISPATCHED if count else Event.Status.NO_SUBSCRIBERS
        Event.objects.filter(pk__in=event_ids).update(status=status, delivery_count=count, dispatched_at=now)
