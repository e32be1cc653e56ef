"""Sending the past again: what failed at a webhook between two times, and what it never got.

A recovery is worked through in small steps, each in a transaction with the place that it has come to. So a worker may
die in it, and two may work at it, and nothing is sent twice for that. It keeps so little waiting at a time that it is
cancelled at once, and its deliveries are last in line.
"""

from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts import limits
from accounts.audit import Action
from accounts.models import User
from webhooks import wake
from webhooks.models import Delivery, Event, EventType, Recovery, Webhook
from webhooks.models.delivery import DeliveryQuerySet
from winkhooks import broker
from winkhooks.uuid7 import first_uuid7_at, time_of

Rows = TypeVar("Rows", "DeliveryQuerySet", "QuerySet[Event]")

# What one recovery takes at most.
MOST = 100_000
# So many deliveries go in one transaction, and so many replays of a webhook are unfinished at a time.
STEP = 200
WINDOW = 1000
# Why its deliveries ended, by why it did.
END_REASONS: dict[str, Delivery.EndReason] = {
    Recovery.EndReason.BY_USER: Delivery.EndReason.RECOVERY_ENDED,
    Recovery.EndReason.GONE: Delivery.EndReason.WEBHOOK_DISABLED,
    Recovery.EndReason.WEBHOOK_DISABLED: Delivery.EndReason.WEBHOOK_DISABLED,
    Recovery.EndReason.WEBHOOK_REMOVED: Delivery.EndReason.WEBHOOK_REMOVED,
}
# Where deliveries are only counted, it ends behind so many.
COUNTED_MOST = 10_000
# So many events are looked at to count on a page what a webhook never got: some 30 ms on PostgreSQL.
LOOKED_AT_MOST = 50_000
# What is about to be removed with age is left alone.
SAFETY = timedelta(hours=1)


class AlreadyRunning(Exception):
    """The webhook has a recovery of this kind that has not finished."""


class Counted(NamedTuple):
    """How much a recovery would take, up to `until`, where counting stopped; None where all was counted."""

    number: int
    until: datetime | None = None


def oldest_kept() -> datetime:
    """Return from when on there are events to send."""
    return timezone.now() - timedelta(days=settings.WEBHOOK_KEEP_DAYS) + SAFETY


def count(webhook: Webhook, kind: str, since: datetime, until: datetime) -> int:
    """Return how much a recovery would take; one more than MOST where there is more."""
    return _found(webhook, kind, since, until).values("pk")[: MOST + 1].count()


def count_soon(webhook: Webhook, kind: str, since: datetime, until: datetime) -> Counted:
    """Return the same as far as it can be counted while somebody waits for a page."""
    if kind == Recovery.Kind.MISSED:
        passed = _within(_candidates(webhook), since, until).values_list("pk", flat=True)
        last = passed[LOOKED_AT_MOST - 1 : LOOKED_AT_MOST].first()
        if last:
            counted_until = time_of(last)
            return Counted(count(webhook, kind, since, counted_until), counted_until)
    return Counted(count(webhook, kind, since, until))


def sample(webhook: Webhook, kind: str, since: datetime, until: datetime, most: int) -> "QuerySet[Event]":
    """Return the first events that a recovery would send, without their bodies."""
    which = "deliveries__in" if kind == Recovery.Kind.FAILED else "pk__in"
    # The keys alone, which PostgreSQL finds in the index of what failed.
    return (
        Event.objects.filter(**{which: _found(webhook, kind, since, until).values("pk")[:most]})
        .defer("body")
        .order_by("pk")
    )


def count_failed(webhook: Webhook) -> int:
    """Return how many deliveries a recovery of what failed would take; COUNTED_MOST and one where there is more."""
    failed = _failed(webhook).filter(pk__gte=first_uuid7_at(oldest_kept())).order_by("-pk")
    return failed.values("pk")[: COUNTED_MOST + 1].count()


def _found(webhook: Webhook, kind: str, since: datetime, until: datetime) -> "DeliveryQuerySet | QuerySet[Event]":
    """Return what a recovery takes, in its order: deliveries that failed, or events that were never sent."""
    if kind == Recovery.Kind.FAILED:
        return _within(_failed(webhook), since, until)
    return _within(_missed(webhook, since, until), since, until)


def _within(rows: "Rows", since: datetime, until: datetime) -> "Rows":
    """Keep those of a span, in their order."""
    first, behind = _ids(since, until)
    return rows.filter(pk__gte=first, pk__lt=behind).order_by("pk")


def _ids(since: datetime, until: datetime) -> tuple[UUID, UUID]:
    """Return the first id of a span, and the first one behind it."""
    return first_uuid7_at(max(since, oldest_kept())), first_uuid7_at(until)


def _failed(webhook: Webhook) -> DeliveryQuerySet:
    """Return what is dead, except tests, and what was cancelled though nobody asked for that very delivery."""
    swept_away = [Delivery.EndReason.WEBHOOK_DISABLED, Delivery.EndReason.RECOVERY_ENDED]
    ended = Q(status=Delivery.Status.DEAD) | Q(status=Delivery.Status.CANCELLED, end_reason__in=swept_away)
    # The first condition is that of the index `delivery_failed`.
    failed = webhook.deliveries.filter(status__in=[Delivery.Status.DEAD, Delivery.Status.CANCELLED])
    return failed.filter(ended).exclude(end_reason=Delivery.EndReason.TEST_FAILED)


def _missed(webhook: Webhook, since: datetime, until: datetime) -> "QuerySet[Event]":
    """Return the candidates of which it has no delivery."""
    first, behind = _ids(since, until)
    # The span once more: else PostgreSQL would read from its beginning the index that it merges with the events.
    got = Delivery.objects.filter(event=OuterRef("pk"), webhook=webhook.pk, event__gte=first, event__lt=behind)
    return _candidates(webhook).filter(~Exists(got))


def _candidates(webhook: Webhook) -> "QuerySet[Event]":
    """Return dispatched events of the types that it asks for now."""
    types = webhook.event_types.all() if webhook.event_types.exists() else EventType.objects.all()
    return Event.objects.filter(
        account=webhook.account_id,
        # Those of other webhooks are none of its business.
        is_test=False,
        # As a list, which PostgreSQL looks up in less time than it takes to join.
        type__in=list(types.filter(delivered=True).values_list("pk", flat=True)),
    ).exclude(status=Event.Status.NEW)


def start(webhook: Webhook, kind: str, since: datetime, until: datetime, by: User) -> Recovery:
    """Have the past sent, and end the rest of the webhook, since somebody says that its receiver is well.

    Raises AlreadyRunning, and TooMany where `by` has started many lately.
    """
    until = min(until, timezone.now())
    total = min(count(webhook, kind, since, until), MOST)
    try:
        with transaction.atomic():
            limits.check(limits.RECOVERIES, by)
            recovery = Recovery.objects.create(
                webhook=webhook, kind=kind, since=since, until=until, total=total, requested_by=by
            )
            changes = {"kind": (None, str(kind)), "since": (None, since), "until": (None, until)}
            webhook.record(Action.RECOVERY_STARTED, by, changes, target_id=recovery.pk, count=total)
    except IntegrityError as error:
        raise AlreadyRunning from error
    # Where it still fails, the next failure of a live delivery begins a longer rest.
    Webhook.objects.filter(pk=webhook.pk, cooling_until__isnull=False).update(cooling_until=None)
    ring(recovery)
    return recovery


def ring(recovery: Recovery) -> None:
    """Have a worker go on with it as soon as this is committed; a bell that is lost the sweep makes up for."""
    transaction.on_commit(lambda: broker.send("webhooks.tasks.recover", str(recovery.pk)), robust=True)


def cancel(recovery: Recovery, by: User) -> bool:
    """End it, and cancel what waits of it; return whether it was running. What is under way comes to its end."""
    with transaction.atomic():
        changed = Recovery.objects.filter(pk=recovery.pk).cancel(Recovery.EndReason.BY_USER, by)
        if changed:
            webhook = Webhook.objects.without_secrets().get(pk=recovery.webhook_id)
            webhook.record(Action.RECOVERY_CANCELLED, by, target_id=recovery.pk)
    if changed:
        step(recovery.pk)
    recovery.refresh_from_db()
    return bool(changed)


def work(recovery_id: UUID) -> None:
    """Take up as much as may wait at a time, and wake those who send it."""
    while step(recovery_id):
        wake.ring()


def step(recovery_id: UUID) -> bool:
    """Take the recovery one step on, unless another process does; return whether the next step can follow at once."""
    with transaction.atomic():
        recovery = (
            Recovery.objects.unfinished()
            .select_for_update(no_key=True, skip_locked=True)
            .filter(pk=recovery_id)
            .first()
        )
        if recovery is None:
            return False
        webhook = Webhook.objects.without_secrets().get(pk=recovery.webhook_id)
        if recovery.status == Recovery.Status.CANCELLED:
            _cancel_waiting(recovery)
            taken = 0
        else:
            taken = _take_up(recovery, webhook)
        recovery.save(update_fields=["status", "replayed", "cursor", "finished_at"])
    return taken > 0


def _take_up(recovery: Recovery, webhook: Webhook) -> int:
    recovery.status = Recovery.Status.RUNNING
    behind = first_uuid7_at(recovery.until)
    replays = Delivery.objects.unfinished().filter(webhook=webhook.pk, priority=Delivery.Priority.REPLAY)
    if recovery.cursor == behind:
        if not replays.filter(recovery=recovery).exists():
            recovery.status = Recovery.Status.DONE
            recovery.finished_at = timezone.now()
        return 0
    # No smaller steps, with which a worker would follow the engine all the way.
    if replays.values("pk")[:WINDOW].count() > WINDOW - STEP:
        return 0
    rest = _found(webhook, recovery.kind, recovery.since, recovery.until)
    if recovery.cursor:
        rest = rest.filter(pk__gt=recovery.cursor)
    wanted = min(STEP, recovery.total - recovery.replayed)
    ids = list(rest.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True)[:wanted])
    if recovery.kind == Recovery.Kind.FAILED:
        Delivery.objects.filter(pk__in=ids).replay(recovery)
    else:
        _make_deliveries(recovery, webhook, ids)
    recovery.replayed += len(ids)
    recovery.cursor = ids[-1] if len(ids) == STEP else behind
    return len(ids)


def _make_deliveries(recovery: Recovery, webhook: Webhook, event_ids: list[UUID]) -> None:
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(
            event_id=event_id,
            webhook=webhook,
            recovery=recovery,
            url=webhook.url,
            priority=Delivery.Priority.REPLAY,
            next_attempt_at=now,
            created_at=now,
        )
        for event_id in event_ids
    )
    Event.objects.filter(pk__in=event_ids).update(
        status=Event.Status.DISPATCHED, delivery_count=F("delivery_count") + 1
    )


def _cancel_waiting(recovery: Recovery) -> None:
    """Cancel what waits of it. What a worker is writing to at this moment, the next step cancels."""
    waiting = Delivery.objects.unfinished().filter(
        webhook=recovery.webhook_id, priority=Delivery.Priority.REPLAY, recovery=recovery
    )
    # Workers record in batches: to wait for one of its rows while holding others would be a deadlock.
    free = list(waiting.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=free).cancel(END_REASONS[recovery.end_reason])
    if not waiting.exists():
        recovery.finished_at = timezone.now()
