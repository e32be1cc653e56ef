"""Deliveries of the time that time_machine says; ids ask the clock of the machine, which it does not move."""

import secrets
from typing import Any
from uuid import UUID

from django.utils import timezone

from tests.webhooks.conftest import announce
from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import first_uuid7_at


def make_delivery(webhook: Webhook, status: str = "PENDING", **fields: Any) -> Delivery:
    """Make a delivery of a new event; a finished one has ended now."""
    now = timezone.now()
    [event] = announce(webhook.account)
    Event.objects.filter(pk=event.pk).update(status=Event.Status.DISPATCHED, delivery_count=1)
    unfinished = status in (Delivery.Status.PENDING, Delivery.Status.RETRYING)
    times = {"next_attempt_at": now if unfinished else None, "finished_at": None if unfinished else now}
    return Delivery.objects.create(
        id=UUID(int=first_uuid7_at(now).int | secrets.randbits(62)),
        event=event,
        webhook=webhook,
        url=webhook.url,
        status=status,
        created_at=now,
        **times | fields,
    )
