"""Taking due deliveries, under a lease, so that no other worker sends them.

A claim goes from webhook to webhook and takes of each no more than it has room for. So the backlog of one webhook,
however deep, hides no other one. Webhooks to which not all may be sent that is due are asked one by one: see `ration`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Self
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from webhooks.engine.postgresql import any_of, array
from webhooks.models import Delivery, Webhook
from webhooks.models.delivery import DeliveryQuerySet

# Where fewer are due, they name all webhooks with due deliveries.
OLDEST = 500
COUNT_OLDEST = """
SELECT webhook_id, count(*) FROM (
    SELECT webhook_id FROM webhooks_delivery
    WHERE next_attempt_at <= %(now)s AND finished_at IS NULL AND (leased_until IS NULL OR leased_until <= %(now)s)
    -- A limit that the planner does not know makes it go along the index, which marks what it finds dead. Otherwise it
    -- gathers all entries first, those of finished deliveries too, each time again.
    ORDER BY next_attempt_at LIMIT (SELECT %(limit)s)
) AS oldest
GROUP BY webhook_id
"""
# Where more are due: the webhooks with unfinished deliveries, in order of their ids. Each step jumps to the next id in
# the index `delivery_queue`, so that it costs the same with ten deliveries behind a webhook as with a million.
WAITING_WEBHOOKS = """
WITH RECURSIVE waiting(webhook_id) AS (
    SELECT * FROM (
        SELECT webhook_id FROM webhooks_delivery
        WHERE next_attempt_at IS NOT NULL AND webhook_id > %(cursor)s
        ORDER BY webhook_id LIMIT 1
    ) AS first_one
    UNION ALL
    SELECT (
        SELECT following.webhook_id FROM webhooks_delivery AS following
        WHERE following.next_attempt_at IS NOT NULL AND following.webhook_id > waiting.webhook_id
        ORDER BY following.webhook_id LIMIT 1
    )
    FROM waiting WHERE waiting.webhook_id IS NOT NULL
)
SELECT webhook_id FROM waiting WHERE webhook_id IS NOT NULL LIMIT %(limit)s
"""
WEBHOOKS_AT_ONCE = 500
CLAIM_POSTGRESQL = """
WITH due AS (
    SELECT chosen.id, webhook.version AS webhook_version
    FROM unnest(%(webhook_ids)s::uuid[], %(rooms)s::int[]) AS asked(webhook_id, room)
    -- LATERAL with a LIMIT is never turned into a hash join, so that the webhooks are asked in the order given.
    CROSS JOIN LATERAL (
        SELECT version FROM webhooks_webhook
        WHERE id = asked.webhook_id AND rate_limit IS NULL AND cooling_until IS NULL
        LIMIT 1
    ) AS webhook
    CROSS JOIN LATERAL (
        SELECT oldest.id
        FROM (VALUES (0), (1), (2)) AS line(priority)
        CROSS JOIN LATERAL (
            SELECT delivery.id FROM webhooks_delivery AS delivery
            WHERE delivery.webhook_id = asked.webhook_id
                AND delivery.priority = line.priority
                AND delivery.next_attempt_at <= %(now)s
                AND (delivery.leased_until IS NULL OR delivery.leased_until <= %(now)s)
            ORDER BY delivery.next_attempt_at
            -- The limit below would do, but the planner does not see it here: it would sort and lock the whole backlog.
            LIMIT CASE line.priority WHEN 2 THEN greatest(asked.room - %(kept)s, 0) ELSE asked.room END
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS oldest
        LIMIT asked.room
    ) AS chosen
    LIMIT %(limit)s
)
UPDATE webhooks_delivery AS delivery
SET leased_until = %(leased_until)s
FROM due, webhooks_event AS event
WHERE delivery.id = due.id AND event.id = delivery.event_id
RETURNING delivery.id::text, delivery.webhook_id::text, due.webhook_version, delivery.event_id::text, event.type_id,
    event.body, delivery.priority, delivery.attempt_count, delivery.budget_start, delivery.leased_until, event.is_test
"""
FIRST_CURSOR = str(UUID(int=0))
# Replays get so small a part of the room that a webhook has: only while less of it is taken they are. So what happens
# now finds room, whatever waits of the past.
REPLAY_PART = 5
REPLAY = int(Delivery.Priority.REPLAY)
SECRETS = ["webhook__secret", "webhook__previous_secret"]


class Claim(NamedTuple):
    """A delivery that this worker, and no other, sends before `leased_until`.

    Ids are texts in the engine: each is looked up and written ten times and more on the way of a delivery.
    """

    delivery_id: str
    webhook_id: str
    webhook_version: int
    event_id: str
    event_type: str
    body: bytes
    priority: int
    attempt_count: int
    budget_start: int
    leased_until: datetime
    is_test: bool = False

    @classmethod
    def of(cls, delivery: Delivery, leased_until: datetime) -> Self:
        """Return the claim of a delivery that the caller has leased; it reads the event and the webhook's version."""
        return cls(
            delivery_id=str(delivery.pk),
            webhook_id=str(delivery.webhook_id),
            webhook_version=delivery.webhook.version,
            event_id=str(delivery.event_id),
            event_type=delivery.event.type_id,
            body=bytes(delivery.event.body),
            priority=delivery.priority,
            attempt_count=delivery.attempt_count,
            budget_start=delivery.budget_start,
            leased_until=leased_until,
            is_test=delivery.event.is_test,
        )

    @property
    def is_replay(self) -> bool:
        return self.priority == REPLAY

    @property
    def attempt_number(self) -> int:
        return self.attempt_count + 1

    @property
    def tries(self) -> int:
        """How many attempts of the present budget there are with the next one."""
        return self.attempt_number - self.budget_start


def claim(taken: Mapping[str, int], room: int, limit: int, cursor: str = FIRST_CURSOR) -> list[Claim]:
    """Take up to `limit` due deliveries, and so many of each webhook that the caller has `room` of them.

    `taken` says how many it has already. The webhooks behind `cursor` come first; none that is rationed is asked. Of a
    webhook first attempts come first, then retries, then some replays, the oldest of each first.
    """
    now = timezone.now()
    rooms = {webhook_id: room - taken.get(webhook_id, 0) for webhook_id in webhooks_with_work(now, cursor)}
    rooms = {webhook_id: free for webhook_id, free in rooms.items() if free > 0}
    if not rooms or limit <= 0:
        return []
    if connection.vendor == "postgresql":
        return _claim_at_once(rooms, limit, kept_from_replays(room), now)
    return _claim_one_by_one(rooms, limit, kept_from_replays(room), now)


def webhooks_with_work(now: datetime, cursor: str = FIRST_CURSOR) -> list[str]:
    """Return webhooks for which something may be due, those behind `cursor` first; all, unless there are very many."""
    with connection.cursor() as db_cursor:
        db_cursor.execute(COUNT_OLDEST, {"now": connection.ops.adapt_datetimefield_value(now), "limit": OLDEST})
        counts = {_text(webhook_id): count for webhook_id, count in db_cursor.fetchall()}
    webhook_ids = set(counts)
    if sum(counts.values()) == OLDEST:
        behind = _waiting_webhooks(cursor, WEBHOOKS_AT_ONCE)
        webhook_ids.update(behind, _waiting_webhooks(FIRST_CURSOR, WEBHOOKS_AT_ONCE - len(behind)))
    return sorted(webhook_ids, key=lambda webhook_id: (webhook_id <= cursor, webhook_id))


def _waiting_webhooks(cursor: str, limit: int) -> list[str]:
    with connection.cursor() as db_cursor:
        place = cursor if connection.features.has_native_uuid_field else UUID(cursor).hex
        db_cursor.execute(WAITING_WEBHOOKS, {"cursor": place, "limit": limit})
        return [_text(row[0]) for row in db_cursor.fetchall()]


def _text(value: UUID | str) -> str:
    """Return a UUID that comes out of SQL as text: a database without a type for it writes it otherwise."""
    return str(value if isinstance(value, UUID) else UUID(value))


def kept_from_replays(room: int) -> int:
    """Return how much of the room of a webhook replays must leave free."""
    return room - max(1, room // REPLAY_PART)


def _claim_at_once(rooms: Mapping[str, int], limit: int, kept: int, now: datetime) -> list[Claim]:
    with connection.cursor() as db_cursor:
        db_cursor.execute(
            CLAIM_POSTGRESQL,
            {
                "webhook_ids": array(rooms),
                "rooms": array(rooms.values()),
                "limit": limit,
                "kept": kept,
                "now": now,
                "leased_until": lease_from(now),
            },
        )
        return _in_order(Claim(*row) for row in db_cursor.fetchall())


def _claim_one_by_one(rooms: Mapping[str, int], limit: int, kept: int, now: datetime) -> list[Claim]:
    """Do the same where the database has neither LATERAL nor SKIP LOCKED, and one writer at a time anyway."""
    with transaction.atomic():
        rationed = {str(pk) for pk in Webhook.objects.rationed().values_list("pk", flat=True)}
        delivery_ids: list[UUID] = []
        for webhook_id, room in rooms.items():
            wanted = min(room, limit - len(delivery_ids))
            if wanted > 0 and webhook_id not in rationed:
                delivery_ids += first_of(due_of(UUID(webhook_id), now), wanted, room - kept)
        return lease(delivery_ids, now)


def _due(now: datetime) -> DeliveryQuerySet:
    """Return what is due and in no worker's hands."""
    return Delivery.objects.filter(Q(leased_until=None) | Q(leased_until__lte=now), next_attempt_at__lte=now)


def due_of(webhook_id: UUID, now: datetime) -> DeliveryQuerySet:
    """Return what is due at a webhook and in no worker's hands, in the order in which it is to be sent."""
    return _due(now).filter(webhook=webhook_id).order_by("priority", "next_attempt_at")


def first_of(due: DeliveryQuerySet, count: int, replay_count: int) -> list[UUID]:
    """Return the ids of the first `count`, with no more than `replay_count` replays, which come last."""
    rows = list(due.values_list("pk", "priority")[:count])
    others = [pk for pk, priority in rows if priority != Delivery.Priority.REPLAY]
    replays = [pk for pk, priority in rows if priority == Delivery.Priority.REPLAY]
    return others + replays[: max(0, replay_count)]


def lease(delivery_ids: list[UUID], now: datetime) -> list[Claim]:
    """Lease deliveries that the caller has locked, or that nobody else can reach."""
    if not delivery_ids:
        return []
    leased_until = lease_from(now)
    deliveries = Delivery.objects.filter(pk__in=delivery_ids)
    deliveries.update(leased_until=leased_until)
    return _in_order(
        Claim.of(delivery, leased_until) for delivery in deliveries.select_related("event", "webhook").defer(*SECRETS)
    )


def lease_from(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.WEBHOOK_LEASE_SECONDS)


def _in_order(claims: Iterable[Claim]) -> list[Claim]:
    # Ids sort by time, so that among those of one priority the oldest goes first.
    return sorted(claims, key=lambda claim: (claim.priority, claim.delivery_id))


def release(claims: list[Claim]) -> None:
    """Give back deliveries that were claimed and not sent, so that another worker takes them at once."""
    for leased_until in {claim.leased_until for claim in claims}:
        Delivery.objects.filter(
            pk__in=any_of(claim.delivery_id for claim in claims if claim.leased_until == leased_until),
            leased_until=leased_until,
        ).update(leased_until=None)
