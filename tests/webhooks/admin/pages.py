"""What the tests of the administration look at, and how."""

import re
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from tests.conftest import client_of, make_user
from webhooks.models import Attempt, Delivery, Event, Recovery, Webhook

NASTY = "<script>alert('x')</script>"
SECRET = "whsec_bWFya2VyLXRoYXQtbXVzdC1uZXZlci1iZS1zaG93bg=="
PREVIOUS_SECRET = "whsec_cHJldmlvdXMtbWFya2VyLW5ldmVyLXNob3duLWVpdGhlcg=="


def make_event(account: Account, **fields: Any) -> Event:
    event_fields = {
        "account": account,
        "type_id": "booking.created",
        "occurred_at": timezone.now(),
        "recipient_role": "SELF",
        "body": b'{"object":{"guest":"Matti \xc3\x84yr\xc3\xa4p\xc3\xa4\xc3\xa4"}}',
        "status": "DISPATCHED",
        "delivery_count": 1,
    }
    return Event.objects.create(**event_fields | fields)


def make_delivery(webhook: Webhook, status: str = "PENDING", **fields: Any) -> Delivery:
    finished = status not in ("PENDING", "RETRYING")
    return Delivery.objects.create(
        event=make_event(webhook.account),
        webhook=webhook,
        url=webhook.url,
        status=status,
        next_attempt_at=None if finished else timezone.now() + timedelta(hours=1),
        finished_at=timezone.now() if finished else None,
        attempt_count=1,
        **fields,
    )


def make_attempt(delivery: Delivery, number: int = 1, **fields: Any) -> Attempt:
    attempt_fields = {
        "delivery": delivery,
        "number": number,
        "started_at": timezone.now(),
        "duration_ms": 12,
        "http_status": 500,
        "request_headers": [["Wink-Event-Id", str(delivery.event_id)]],
        "response_headers": [["X-Nasty", NASTY]],
        "response_snippet": NASTY.encode() + b"\x00\xff\xfe\r\nend",
    }
    return Attempt.objects.create(**attempt_fields | fields)


def make_recovery(webhook: Webhook) -> Recovery:
    now = timezone.now()
    return Recovery.objects.create(webhook=webhook, kind="MISSED", since=now - timedelta(hours=1), until=now, total=5)


def make_staff(*permissions: str) -> Client:
    user = make_user("staff@example.com")
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return client_of(user)


def inexact_times(content: str) -> list[str]:
    """Return the times in an English page that are written as Django does, without seconds and zone."""
    return re.findall(r"\b\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d\b", content)


def list_url(model: str) -> str:
    return reverse(f"admin:webhooks_{model}_changelist")


def row_url(model: str, pk: object, page: str = "change") -> str:
    return reverse(f"admin:webhooks_{model}_{page}", args=[pk])


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def pks_of(attempt: Attempt) -> dict[str, object]:
    delivery = attempt.delivery
    return {
        "eventtype": "booking.created",
        "webhook": delivery.webhook_id,
        "event": delivery.event_id,
        "delivery": delivery.pk,
        "attempt": attempt.pk,
        "recovery": delivery.webhook.recoveries.get().pk,
    }


def run(client: Client, model: str, action: str, *rows: Any, **fields: str) -> str:
    response = client.post(
        list_url(model), {"action": action, "_selected_action": [row.pk for row in rows], **fields}, follow=True
    )
    assert response.status_code == 200
    return response.content.decode()
