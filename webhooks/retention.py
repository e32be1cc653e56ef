"""How long things are kept."""

from datetime import datetime, timedelta
from itertools import accumulate
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from webhooks import rollups
from webhooks.arrival import CHANGE_LASTS
from webhooks.models import Attempt, Delivery, Event, Recovery, WebhookState
from winkhooks.uuid7 import first_uuid7_at

# So many deliveries go in one transaction, that it holds its locks for some ten milliseconds.
BATCH = 500


def purge() -> int:
    """Remove events older than WEBHOOK_KEEP_DAYS with their deliveries and attempts, and what else is as old.

    That is the hourly counts of that time, recoveries that ended before it, and what webhooks were before it.

    Return how many events.
    An event with a delivery that is unfinished or under way, such as one that was redelivered on its last day, stays
    until that has ended.
    """
    kept_since = timezone.now() - timedelta(days=settings.WEBHOOK_KEEP_DAYS)
    rollups.forget_before(kept_since)
    Recovery.objects.filter(finished_at__lt=kept_since).delete()
    old = _old_events(kept_since)
    removed = 0
    while events := list(old.values_list("pk", "delivery_count")[:BATCH]):
        totals = accumulate(delivery_count for _, delivery_count in events)
        event_ids = [pk for (pk, _), total in zip(events, totals, strict=True) if total <= BATCH]
        if event_ids:
            removed += _remove(event_ids)
        else:
            _remove_some_deliveries(events[0][0])
    _forget_states(kept_since)
    return removed


def _old_events(kept_since: datetime) -> QuerySet[Event]:
    busy = Delivery.objects.filter(_busy(), event=OuterRef("pk"))
    old = Event.objects.filter(~Exists(busy), pk__lt=first_uuid7_at(kept_since))
    return old.exclude(status=Event.Status.NEW).order_by("pk")


def _busy() -> Q:
    """Say which deliveries something may still become of: cancelled ones, too, while their request is under way."""
    return Q(next_attempt_at__isnull=False) | Q(leased_until__gt=timezone.now())


def _remove(event_ids: list[UUID]) -> int:
    """Remove events of which nothing is busy by now; return how many."""
    with transaction.atomic():
        # Whoever records an attempt has locked its delivery: behind these locks none is on its way any more.
        deliveries = Delivery.objects.filter(event__in=event_ids)
        list(deliveries.order_by("pk").select_for_update().values_list("pk", flat=True))
        busy = set(deliveries.filter(_busy()).values_list("event", flat=True))
        event_ids = [pk for pk in event_ids if pk not in busy]
        Attempt.objects.filter(delivery__event__in=event_ids).delete()
        Delivery.objects.filter(event__in=event_ids).delete()
        Event.objects.filter(pk__in=event_ids).delete()
    return len(event_ids)


def _remove_some_deliveries(event_id: UUID) -> None:
    """Remove a batch of an event that went to more webhooks than fit into one."""
    with transaction.atomic():
        idle = Delivery.objects.filter(~_busy(), event=event_id).order_by("pk").select_for_update()
        delivery_ids = list(idle.values_list("pk", flat=True)[:BATCH])
        Attempt.objects.filter(delivery__in=delivery_ids).delete()
        Delivery.objects.filter(pk__in=delivery_ids).delete()
        Event.objects.filter(pk=event_id).update(delivery_count=F("delivery_count") - len(delivery_ids))


def _forget_states(kept_since: datetime) -> None:
    """Remove what webhooks were before the oldest event that is kept, but for what each of them was as it came."""
    oldest = Event.objects.order_by("pk").values_list("created_at", flat=True).first()
    needed_since = min(kept_since, oldest or kept_since) - CHANGE_LASTS
    next_states = WebhookState.objects.filter(
        webhook=OuterRef("webhook"), since__gt=OuterRef("since"), since__lte=needed_since
    )
    ended = WebhookState.objects.filter(Exists(next_states), since__lt=needed_since).order_by("pk")
    while ids := list(ended.values_list("pk", flat=True)[:BATCH]):
        WebhookState.objects.filter(pk__in=ids).delete()
