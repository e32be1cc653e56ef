"""How long things are kept."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from webhooks.models import Attempt, Delivery, Event
from winkhooks.uuid7 import first_uuid7_at

BATCH = 200


def purge() -> int:
    """Remove events older than WEBHOOK_KEEP_DAYS with their deliveries and attempts; return how many events.

    An event with an unfinished delivery, such as one that was redelivered on its last day, stays until that has ended.
    """
    oldest_kept = first_uuid7_at(timezone.now() - timedelta(days=settings.WEBHOOK_KEEP_DAYS))
    unfinished = Delivery.objects.unfinished().filter(event=OuterRef("pk"))
    old = Event.objects.filter(~Exists(unfinished), pk__lt=oldest_kept).exclude(status=Event.Status.NEW).order_by("pk")
    removed = 0
    while event_ids := list(old.values_list("pk", flat=True)[:BATCH]):
        # A transaction a batch, so that no lock is held long.
        with transaction.atomic():
            Attempt.objects.filter(delivery__event__in=event_ids).delete()
            Delivery.objects.filter(event__in=event_ids).delete()
            Event.objects.filter(pk__in=event_ids).delete()
        removed += len(event_ids)
    return removed
