"""Tells an outside monitor, by a call a minute, that work flows; the monitor notices when the calls stop."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import requests
import structlog
from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import first_uuid7_at

logger = structlog.get_logger(__name__)

PATIENCE = timedelta(minutes=1)
TIMEOUT_SECONDS = 5
LOOKED_AT_MOST = 1000


def beat() -> None:
    """Call HEARTBEAT_URL, unless something is overdue; never raises for what the monitor does."""
    found = overdue()
    if found:
        logger.warning("overdue", **found)
        return
    try:
        # The operator's own URL, so that no guard is needed. Its body is not read: that could take for ever.
        with requests.get(settings.HEARTBEAT_URL, timeout=TIMEOUT_SECONDS, stream=True) as response:
            response.raise_for_status()
    except requests.RequestException as error:
        # Its text would have the URL, which is a secret with many monitors.
        status = error.response.status_code if error.response is not None else None
        logger.warning("heartbeat_failed", error=type(error).__name__, http_status=status)


def overdue() -> dict[str, int | list[str]]:
    """Return what has waited too long: how many new events, and which webhooks with deliveries or with lost leases.

    Disabled webhooks and those that cool down do not count, nor do the due deliveries of a webhook to which something
    is being sent: its receiver may be slower than its events, or its limit lower.
    """
    now = timezone.now()
    latest = now - PATIENCE
    new = Event.objects.filter(status=Event.Status.NEW, pk__lt=first_uuid7_at(latest))
    found: dict[str, int | list[str]] = {}
    if events := new[:LOOKED_AT_MOST].count():
        found["events"] = events
    for webhook_id in _with_late_deliveries(now, latest):
        leases = list(_leases(webhook_id, now))
        if any(lease <= latest for lease in leases):
            _add(found, "leases", webhook_id)
        elif not any(lease > now for lease in leases):
            _add(found, "deliveries", webhook_id)
    return found


def _with_late_deliveries(now: datetime, latest: datetime) -> list[UUID]:
    awake = Q(cooling_until=None) | Q(cooling_until__lte=now)
    # What a limit holds back is not overdue as long as something is taken from behind it.
    unlimited = Q(rate_limit=None) | Q(rate_tokens_at=None) | Q(rate_tokens_at__lte=latest)
    late = Q()
    # One by one, as the index has the priority before the time.
    for priority in Delivery.Priority.values:
        queue = Delivery.objects.unfinished().not_under_way().filter(webhook=OuterRef("pk"), priority=priority)
        late |= Q(Exists(queue.filter(next_attempt_at__lte=latest)))
    webhooks = Webhook.objects.present().filter(awake, unlimited, late, enabled=True)
    return list(webhooks.order_by("pk").values_list("pk", flat=True))


def _leases(webhook_id: UUID, now: datetime) -> Iterator[datetime]:
    """Yield the leases of its due deliveries, at the head of each queue, where the claims are."""
    for priority in Delivery.Priority.values:
        due = Delivery.objects.filter(webhook=webhook_id, priority=priority, next_attempt_at__lte=now)
        leases = due.order_by("next_attempt_at").values_list("leased_until", flat=True)
        yield from (lease for lease in leases[:LOOKED_AT_MOST] if lease)


def _add(found: dict[str, int | list[str]], what: str, webhook_id: UUID) -> None:
    webhooks = found.setdefault(what, [])
    assert isinstance(webhooks, list)
    webhooks.append(str(webhook_id))
