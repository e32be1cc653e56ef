"""Test events: made by hand, for one webhook alone, and sent while somebody waits for the answer.

They go the way of every other delivery, in one process: written, leased, sent through the one door, recorded. Where
that process dies, the lease runs out and a worker sends it. They are sent once, whatever comes back, and say nothing of
how the webhook is doing: whoever tries out a receiver does not want to be called back about it for days.
"""

from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from accounts import limits
from accounts.audit import Action
from accounts.models import User
from webhooks.engine.claim import Claim, lease_from
from webhooks.engine.outcome import judge_test
from webhooks.engine.record import Result, record
from webhooks.engine.request import make_request
from webhooks.engine.transport import call
from webhooks.events import envelope
from webhooks.models import Delivery, Event, EventType, Webhook
from winkhooks.uuid7 import uuid7

logger = structlog.get_logger(__name__)


def send(webhook: Webhook, event_type: EventType, object: dict[str, Any], by: User, key: UUID) -> Delivery:
    """Send a test event and return its delivery, whatever came of it; it takes WEBHOOK_TIMEOUT_SECONDS at most.

    `webhook` needs its secrets; a disabled one gets it too. With a key that was used before nothing is sent: the
    delivery is the first one, perhaps still under way. Raises InvalidPayload or PayloadTooLarge before anything is
    written, and TooMany where `by` has sent many lately.
    """
    now = timezone.now()
    leased_until = lease_from(now)
    event = Event(
        id=uuid7(),
        account_id=webhook.account_id,
        type=event_type,
        occurred_at=now,
        recipient_role=event_type.roles[0] if event_type.roles else Event.RecipientRole.SELF,
        idempotency_key=f"test:{webhook.pk}:{key}",
        status=Event.Status.DISPATCHED,
        delivery_count=1,
        is_test=True,
    )
    event.body = envelope(event, object)
    delivery = Delivery(
        event=event,
        webhook=webhook,
        url=webhook.url,
        # If a worker has to send it, it goes last in line, and to a disabled webhook too.
        priority=Delivery.Priority.REPLAY,
        next_attempt_at=now,
        leased_until=leased_until,
    )
    claimed = Claim.of(delivery, leased_until)
    request = make_request(claimed, webhook.url, webhook.valid_secrets(now), int(now.timestamp()))
    if not _insert(event, delivery, by):
        first = Event.objects.only("pk").get(account=event.account_id, idempotency_key=event.idempotency_key)
        return Delivery.objects.get(event=first, webhook=webhook.pk)
    logger.info("test_event_sent", delivery=str(delivery.pk), webhook=str(webhook.pk), by=str(by.pk))
    answer = call(request)
    record([Result(claimed, request, answer, judge_test(answer))])
    delivery.refresh_from_db()
    return delivery


def _insert(event: Event, delivery: Delivery, by: User) -> bool:
    """Write both; return whether they are the first with this key. It is committed, so that no request holds a lock."""
    with transaction.atomic(durable=True):
        Event.objects.bulk_create([event], ignore_conflicts=True)
        is_first = Event.objects.filter(pk=event.pk).exists()
        if is_first:
            limits.check(limits.TEST_EVENTS, by)
            delivery.save(force_insert=True)
            delivery.webhook.record(Action.TEST_EVENT_SENT, by, {"event": (None, event.type_id)}, target_id=delivery.pk)
    return is_first
