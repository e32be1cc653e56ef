"""What the pictures of the documentation show beyond the demo; `make` runs in a process of a stack.

It writes what a month would have brought: webhooks in every state, recoveries, attempts that failed.
"""

import json
import os
import time
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts import audit, invitations, limits
from accounts.models import Account, Membership, Role, User
from webhooks import events, notice_link
from webhooks.engine.dispatch import dispatch
from webhooks.management.commands.seed_demo import (
    BOOKING_TYPES,
    COOL_ACCOUNT_ID,
    LAKESIDE_ACCOUNT_ID,
    MANAGER_EMAIL,
    OWNER_EMAIL,
    WINK_STALKER_ID,
    make_user,
)
from webhooks.models import Attempt, Delivery, Event, EventType, HourlyCount, Recovery, Webhook
from webhooks.signing import sign

PATIENCE_SECONDS = 30
EVENTS = 30
WEBHOOKS_OF_MANY = 200
Places = dict[str, str]


def make() -> Places:
    """Write it all, and return the paths of the pages, and what is to be pasted into the check of signatures."""
    owner = User.objects.get(email=OWNER_EMAIL)
    request = HttpRequest()
    request.user = owner
    request.META["REMOTE_ADDR"] = "203.0.113.7"
    # As the change history tells it, the owner does all of it in the portal.
    with audit.acting(request, audit.Door.PORTAL):
        return _make(Account.objects.get(pk=COOL_ACCOUNT_ID), owner)


def _make(account: Account, owner: User) -> Places:
    empty = Account.objects.create(name="Harbour Cabins")
    Membership.objects.create(account=empty, user=owner, role=Role.OWNER)
    invitation = invitations.invite(account=account, email="noah@lakeside.example", role=Role.MANAGER, by=owner)
    _invite_often(empty)
    many = _register_many(owner)
    healthy = Webhook.objects.get(pk=WINK_STALKER_ID)
    failing = Webhook.objects.get(name="Night statistics")
    resting = _register(account, "Payments bridge", ["booking.created", "refund.created"], owner)
    disabled = _register(account, "Archive", ["booking.created"], owner)
    disabled.disable(Webhook.DisabledReason.BY_USER, owner)
    now = timezone.now()
    Webhook.objects.filter(pk=failing.pk).update(failing_since=now - timedelta(minutes=166), consecutive_failures=9)
    Webhook.objects.filter(pk=resting.pk).update(
        failing_since=now - timedelta(hours=7), consecutive_failures=14, cooling_until=now + timedelta(minutes=40)
    )
    _count(healthy, succeeded=40, failed=1)
    _count(failing, succeeded=12, failed=9)
    _count(resting, succeeded=25, failed=3)
    _announce(account)
    _refuse(Webhook.objects.get(name="Old channel manager"))
    _fail(failing)
    running = _recover(failing, Recovery.Status.RUNNING, owner)
    done = _recover(healthy, Recovery.Status.DONE, owner)
    member = account.memberships.get(user__email=MANAGER_EMAIL)
    return {
        **_paths_of_account(account, member),
        **_paths_of_webhooks(healthy, failing, resting, disabled, running, done),
        **_request(healthy),
        "many": reverse("webhooks:webhook_list", args=[many.pk]),
        "no-webhooks": reverse("webhooks:webhook_list", args=[empty.pk]),
        "no-events": reverse("webhooks:event_list", args=[empty.pk]),
        "harbour-managers": reverse("accounts:account_managers", args=[empty.pk]),
        "invitation": reverse("accounts:invitation_accept", args=[invitations.token_of(invitation)]),
        "500": render_to_string("500.html"),
    }


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


def _register_many(owner: User) -> Account:
    """Make an account of many webhooks; the first ones of the list have names that are hard to show."""
    account = Account.objects.create(name="فنادق النخيل Grand Palm Hotels")
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    names = [
        "1 Varausjärjestelmienvälinentapahtumailmoitustenedelleenlähetyspalvelu",
        "2 تنبيهات الحجز",
        "3 מערכת ההזמנות – booking.created",
        "4 <b>Not bold</b> & 'quoted'",
    ]
    with transaction.atomic():
        for name in [*names, *(f"Channel {number:03}" for number in range(len(names), WEBHOOKS_OF_MANY))]:
            _register(account, name, ["booking.created"], owner)
    return account


def _invite_often(account: Account) -> None:
    """Let an owner of the account have invited as many as one may in an hour."""
    neighbour = make_user("harbour@demo.example", os.environ["DEMO_PASSWORD"], name="Hanna Harbour")
    Membership.objects.create(account=account, user=neighbour, role=Role.OWNER)
    invitations.invite(account=account, email="guest@harbour.example", role=Role.VIEWER, by=neighbour)
    for _ in range(limits.INVITATIONS.most):
        audit.record(audit.Action.INVITATION_RESENT, account=account.pk, actor=neighbour)


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


def _refuse(webhook: Webhook) -> None:
    """Let the receiver have refused everything."""
    ended = webhook.deliveries.filter(status="SUCCEEDED")
    Attempt.objects.filter(delivery__in=ended).update(http_status=404, response_snippet=b"")
    ended.update(status="DEAD", end_reason=Delivery.EndReason.REFUSED, last_http_status=404)


def _fail(webhook: Webhook) -> None:
    """Let the newest delivery of the webhook have failed from several causes; it is tried again in a while."""
    delivery = webhook.deliveries.latest("pk")
    now = timezone.now()
    before = now - timedelta(hours=5)
    webhook.deliveries.filter(status="SUCCEEDED").update(created_at=before, finished_at=before)
    # When the attempts were, in minutes before now, and what came of them.
    causes = [(166, 503, ""), (165, None, "TIMEOUT"), (159, None, "CONNECT"), (128, 500, "")]
    delivery.attempts.all().delete()
    for number, (minutes, http_status, error) in enumerate(causes, 1):
        Attempt.objects.create(
            delivery=delivery,
            number=number,
            started_at=now - timedelta(minutes=minutes),
            duration_ms=10_000 if error == "TIMEOUT" else 240,
            lookup_ms=3,
            connect_ms=None if error == "CONNECT" else 21,
            tls_ms=None if error == "CONNECT" else 40,
            wait_ms=None if error == "CONNECT" else 170,
            http_status=http_status,
            error=error,
            remote_address="192.0.2.10",
            request_headers=[["Content-Type", "application/json"], ["Wink-Event-Type", delivery.event.type_id]],
            response_headers=[["Content-Type", "application/json"]] if http_status else [],
            response_snippet=b'{"error":"The reporting database is read-only"}' if http_status else b"",
        )
    Delivery.objects.filter(pk=delivery.pk).update(
        status="RETRYING",
        attempt_count=len(causes),
        last_http_status=500,
        next_attempt_at=now + timedelta(hours=1),
        created_at=now - timedelta(minutes=causes[0][0]),
        finished_at=None,
        priority=Delivery.Priority.RETRY,
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


def _paths_of_account(account: Account, member: Membership) -> Places:
    return {
        "account": reverse("accounts:account_overview", args=[account.pk]),
        "managers": reverse("accounts:account_managers", args=[account.pk]),
        "invite": reverse("accounts:invitation_create", args=[account.pk]),
        "role": reverse("accounts:membership_change", args=[account.pk, member.pk]),
        "member-remove": reverse("accounts:membership_remove", args=[account.pk, member.pk]),
        "history": reverse("accounts:account_history", args=[account.pk]),
        "notices": reverse("webhooks:notice_list", args=[account.pk]),
        "webhooks": reverse("webhooks:webhook_list", args=[account.pk]),
        "create": reverse("webhooks:webhook_create", args=[account.pk]),
        "create-elsewhere": reverse("webhooks:webhook_create", args=[LAKESIDE_ACCOUNT_ID]),
        "events": reverse("webhooks:event_list", args=[account.pk]),
    }


def _paths_of_webhooks(
    healthy: Webhook, failing: Webhook, resting: Webhook, disabled: Webhook, running: Recovery, done: Recovery
) -> Places:
    def of(name: str, webhook: Webhook, *ids: UUID) -> str:
        return reverse(f"webhooks:{name}", args=[webhook.account_id, webhook.pk, *ids])

    arrived = healthy.deliveries.filter(status="SUCCEEDED").latest("pk")
    dead = Delivery.objects.filter(webhook__name="Old channel manager", status="DEAD").latest("pk")
    owner = healthy.account.memberships.get(user__email=OWNER_EMAIL)
    return {
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
        "dead-delivery": of("delivery_detail", dead.webhook, dead.pk),
        "recovery": of("recovery_create", dead.webhook),
        "recovery-done": of("recovery_detail", healthy, done.pk),
        "recovery-running": of("recovery_detail", failing, running.pk),
        "event": reverse("webhooks:event_detail", args=[healthy.account_id, arrived.event_id]),
        "stop": reverse("webhooks:notice_stop", args=[notice_link.token_for(owner, healthy)]),
        "admin-webhook": reverse("admin:webhooks_webhook_change", args=[failing.pk]),
    }


def _request(webhook: Webhook) -> Places:
    body = json.dumps({"type": "booking.created", "bookingCode": "WNK4ZQ7P"})
    headers = sign([webhook.secret], "01a20bb4-4822-7548-b41c-8ec7cf8fdd7c", body.encode(), int(time.time()))
    return {"secret": webhook.secret, "headers": "\n".join(": ".join(pair) for pair in headers), "body": body}
