"""What the pictures of the documentation show beyond the demo; `make` runs in a process of a stack.

It writes what a month would have brought: webhooks in every state, recoveries, attempts that failed.
"""

import json
import time
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts import invitations
from accounts.models import Account, Membership, Role, User
from webhooks import events
from webhooks.engine.dispatch import dispatch
from webhooks.management.commands.seed_demo import BOOKING_TYPES, COOL_ACCOUNT_ID, OWNER_EMAIL, WINK_STALKER_ID
from webhooks.models import Attempt, Delivery, Event, EventType, HourlyCount, Recovery, Webhook
from webhooks.signing import sign

PATIENCE_SECONDS = 30
EVENTS = 30
Places = dict[str, str]


def make() -> Places:
    """Write it all, and return the paths of the pages, and what is to be pasted into the check of signatures."""
    account = Account.objects.get(pk=COOL_ACCOUNT_ID)
    owner = User.objects.get(email=OWNER_EMAIL)
    empty = Account.objects.create(name="Harbour Cabins")
    Membership.objects.create(account=empty, user=owner, role=Role.OWNER)
    invitations.invite(account=account, email="nina@lakeside.example", role=Role.MANAGER, by=owner)
    healthy = Webhook.objects.get(pk=WINK_STALKER_ID)
    failing = Webhook.objects.get(name="Night statistics")
    resting = _register(account, "Payments bridge", ["booking.created", "refund.created"], owner)
    disabled = _register(account, "Archive", ["booking.created"], owner)
    disabled.disable(Webhook.DisabledReason.BY_USER, owner)
    now = timezone.now()
    Webhook.objects.filter(pk=resting.pk).update(
        failing_since=now - timedelta(hours=7), consecutive_failures=14, cooling_until=now + timedelta(minutes=40)
    )
    _count(healthy, succeeded=40, failed=1)
    _count(failing, succeeded=12, failed=9)
    _count(resting, succeeded=25, failed=3)
    _announce(account)
    _fail(failing)
    running = _recover(failing, Recovery.Status.RUNNING, owner)
    done = _recover(healthy, Recovery.Status.DONE, owner)
    return _paths(account, empty, healthy, failing, resting, disabled, running, done) | _request(healthy)


def wait_until_tried() -> None:
    """Wait until the workers have tried all that the demo announced."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Delivery.objects.filter(attempt_count=0).exists() or Event.objects.filter(status="NEW").exists():
        assert time.monotonic() < deadline, "The demo's deliveries were not tried in time."
        time.sleep(0.1)


def _register(account: Account, name: str, event_types: list[str], by: User) -> Webhook:
    return Webhook.objects.register(
        account=account,
        name=name,
        url=f"https://my.system.example/webhook/{name.lower().replace(' ', '-')}",
        enabled=True,
        event_types=EventType.objects.filter(key__in=event_types),
        by=by,
    )


def _count(webhook: Webhook, succeeded: int, failed: int) -> None:
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    HourlyCount.objects.filter(webhook=webhook).delete()
    HourlyCount.objects.bulk_create(
        HourlyCount(
            webhook=webhook,
            hour=this_hour - timedelta(hours=hours),
            succeeded=succeeded + hours * 7 % 23,
            failed=failed if hours % 5 == 0 else 0,
            died=failed // 3 if hours % 11 == 0 else 0,
            within_100_ms=succeeded,
            within_300_ms=hours * 7 % 23,
            within_2000_ms=failed,
        )
        for hours in range(24 * 29)
    )


def _announce(account: Account) -> None:
    """Let there be a page of events, dispatched and arrived; in one transaction, so that no worker sends them."""
    with transaction.atomic():
        for number in range(EVENTS):
            events.emit(
                type=BOOKING_TYPES[number % len(BOOKING_TYPES)],
                account=account,
                object={"bookingCode": f"WNK{number:05}"},
                recipient_role="SUPPLIER",
            )
        dispatch()
        Delivery.objects.filter(attempt_count=0).update(
            status="SUCCEEDED",
            attempt_count=1,
            last_http_status=200,
            next_attempt_at=None,
            finished_at=timezone.now(),
        )
        Attempt.objects.bulk_create(
            Attempt(
                delivery=delivery,
                number=1,
                started_at=timezone.now(),
                duration_ms=38,
                lookup_ms=4,
                connect_ms=8,
                tls_ms=15,
                wait_ms=9,
                http_status=200,
                remote_address="192.0.2.10",
                response_snippet=b'{"received":true}',
            )
            for delivery in Delivery.objects.filter(attempts=None)
        )


def _fail(webhook: Webhook) -> None:
    """Let the newest delivery of the webhook have died of several causes."""
    delivery = webhook.deliveries.latest("pk")
    causes = [(503, ""), (None, "TIMEOUT"), (None, "CONNECT"), (500, "")]
    delivery.attempts.all().delete()
    for number, (http_status, error) in enumerate(causes, 1):
        Attempt.objects.create(
            delivery=delivery,
            number=number,
            started_at=timezone.now() - timedelta(hours=8 // number),
            duration_ms=10_000 if error == "TIMEOUT" else 240,
            lookup_ms=3,
            connect_ms=21,
            tls_ms=40,
            wait_ms=170,
            http_status=http_status,
            error=error,
            remote_address="192.0.2.10",
            request_headers=[["Content-Type", "application/json"], ["Wink-Event-Type", delivery.event.type_id]],
            response_headers=[["Content-Type", "application/json"]] if http_status else [],
            response_snippet=b'{"error":"The reporting database is read-only"}' if http_status else b"",
        )
    Delivery.objects.filter(pk=delivery.pk).update(
        status="DEAD", end_reason="EXHAUSTED", attempt_count=len(causes), last_http_status=500, next_attempt_at=None
    )


def _recover(webhook: Webhook, status: Recovery.Status, by: User) -> Recovery:
    """Make a recovery of which all is done, or half; it finds nothing to do where a worker looks at it."""
    now = timezone.now()
    ids = list(webhook.deliveries.filter(status="SUCCEEDED").values_list("pk", flat=True)[:8])
    is_done = status == Recovery.Status.DONE
    recovery = Recovery.objects.create(
        webhook=webhook,
        kind=Recovery.Kind.FAILED,
        since=now - timedelta(days=1),
        until=now,
        status=status,
        total=len(ids) if is_done else 2 * len(ids),
        replayed=len(ids),
        requested_by=by,
        finished_at=now if is_done else None,
    )
    Delivery.objects.filter(pk__in=ids).update(recovery=recovery)
    return recovery


def _paths(
    account: Account,
    empty: Account,
    healthy: Webhook,
    failing: Webhook,
    resting: Webhook,
    disabled: Webhook,
    running: Recovery,
    done: Recovery,
) -> Places:
    def of(name: str, webhook: Webhook, *ids: UUID) -> str:
        return reverse(f"webhooks:{name}", args=[account.pk, webhook.pk, *ids])

    arrived = healthy.deliveries.filter(status="SUCCEEDED").latest("pk")
    return {
        "account": reverse("accounts:account_overview", args=[account.pk]),
        "managers": reverse("accounts:account_managers", args=[account.pk]),
        "invite": reverse("accounts:invitation_create", args=[account.pk]),
        "webhooks": reverse("webhooks:webhook_list", args=[account.pk]),
        "no-webhooks": reverse("webhooks:webhook_list", args=[empty.pk]),
        "create": reverse("webhooks:webhook_create", args=[account.pk]),
        "healthy": of("webhook_detail", healthy),
        "failing": of("webhook_detail", failing),
        "resting": of("webhook_detail", resting),
        "disabled": of("webhook_detail", disabled),
        "disable": of("webhook_disable", healthy),
        "rotate": of("secret_rotate", healthy),
        "update": of("webhook_update", healthy),
        "test": of("test_event", healthy),
        "delivery": of("delivery_detail", healthy, arrived.pk),
        "failed-delivery": of("delivery_detail", failing, failing.deliveries.latest("pk").pk),
        "recovery": of("recovery_create", failing),
        "recovery-done": of("recovery_detail", healthy, done.pk),
        "recovery-running": of("recovery_detail", failing, running.pk),
        "events": reverse("webhooks:event_list", args=[account.pk]),
        "no-events": reverse("webhooks:event_list", args=[empty.pk]),
        "event": reverse("webhooks:event_detail", args=[account.pk, arrived.event_id]),
    }


def _request(webhook: Webhook) -> Places:
    body = json.dumps({"type": "booking.created", "bookingCode": "WNK4ZQ7P"})
    headers = sign([webhook.secret], "01a20bb4-4822-7548-b41c-8ec7cf8fdd7c", body.encode(), int(time.time()))
    return {"secret": webhook.secret, "headers": "\n".join(": ".join(pair) for pair in headers), "body": body}
