"""An account as it is after a busy month: a million events, deliveries and attempts, made within a stack.

They are spread as they come about: in the order of time, those of all webhooks mixed, most of them one account's; one
webhook has 500,000 dead deliveries, one none at all.
"""

import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import invitations
from accounts.audit import Action, AuditEntry, Door
from accounts.models import Account, Membership, Role, User
from tests.bench.work import _attempt, _copy, _event
from webhooks import notice_link
from webhooks.models import Attempt, Delivery, Event, EventType, HourlyCount, Recovery, RollUpMark, Webhook
from webhooks.models.webhook_state import WebhookState

DAYS = 29
AGE = timedelta(days=40)
OTHER_ACCOUNTS = 60
MORE_WEBHOOKS = 197
MEMBERS = 30
INVITATIONS = 20
HISTORY = 20_000
RECOVERED_PART = 10
"""One of so many deliveries was sent by a recovery."""
LONG_ATTEMPTS = 30
# So many of a hundred events each go to.
FLOODED, HEALTHY, QUIET = 50, 40, 4
# The event type of the oldest part of the events, which a search for it goes through all others to find.
RARE_PART = 500

Place = dict[str, str]

PLAN = """
CREATE TEMPORARY TABLE plan AS
SELECT number, uuidv7(shift) AS event_id, uuidv7(shift) AS delivery_id, uuidv7(shift) AS attempt_id,
    now() + shift AS moment, number %% 100 < {flooded} AS is_dead,
    CASE WHEN number %% 100 < {big} THEN %(big)s::uuid
        ELSE (%(accounts)s::uuid[])[1 + number / 100 %% cardinality(%(accounts)s::uuid[])] END AS account_id,
    CASE WHEN number %% 100 < {flooded} THEN %(flooded)s::uuid
        WHEN number %% 100 < {healthy} THEN %(healthy)s::uuid
        WHEN number %% 100 < {big} THEN (%(quiet)s::uuid[])[1 + number / 100 %% cardinality(%(quiet)s::uuid[])]
        ELSE (%(webhooks)s::uuid[])[1 + number / 100 %% cardinality(%(webhooks)s::uuid[])] END AS webhook_id,
    CASE WHEN number <= %(count)s / {rare_part} THEN %(rare)s
        ELSE (%(types)s::text[])[1 + number / 7 %% cardinality(%(types)s::text[])] END AS type_id
FROM (
    SELECT number, interval '{days} days' * (number::float / %(count)s - 1) - interval '1 hour' AS shift
    FROM generate_series(1, %(count)s) AS number
) AS numbered
"""


def fill(count: int) -> Place:
    """Write `count` events, deliveries and attempts; return the ids and the cookies that visitors need."""
    people = _people()
    big = Account.objects.create(name="Grand Lakeside Hotels")
    _join(big, people)
    others = Account.objects.bulk_create([Account(name=f"Hotel {number}") for number in range(OTHER_ACCOUNTS)])
    Membership.objects.bulk_create([Membership(user=people[0], account=each, role=Role.OWNER) for each in others])
    names = ["Flooded", "Healthy", "Empty", *(f"Branch {number}" for number in range(MORE_WEBHOOKS))]
    webhooks = _webhooks([big] * len(names), names)
    of_others = _webhooks(others, ["Wink Stalker"] * len(others))
    flooded, healthy, empty, *quiet = webhooks
    *types, rare, never = EventType.objects.filter(delivered=True).order_by("key").values_list("key", flat=True)
    # The last of these get nothing.
    ids = {"big": big.pk, "flooded": flooded.pk, "healthy": healthy.pk, "quiet": [each.pk for each in quiet[:-1]]}
    ids |= {"accounts": [each.pk for each in others], "webhooks": [each.pk for each in of_others]}
    with transaction.atomic():
        _write(count, {"count": count, "types": types[:20], "rare": rare, **ids})
        recoveries = _recover(flooded, healthy, count, people[0])
        place = _sights(big, flooded, healthy, quiet[-1])
        _count_hours(webhooks)
    _remember(big, people)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    quiet[-1].disable(Webhook.DisabledReason.BY_USER, people[0])
    invitation = invitations.invite(account=big, email="nina@lakeside.example", role=Role.VIEWER, by=people[0])
    return place | {
        "account_id": str(big.pk),
        "small_account": str(others[0].pk),
        "small_webhook": str(of_others[0].pk),
        "flooded": str(flooded.pk),
        "webhook_id": str(healthy.pk),
        "empty": str(empty.pk),
        "disabled": str(quiet[-1].pk),
        "middle_webhook": str(quiet[MORE_WEBHOOKS // 2].pk),
        "recovery_id": recoveries[0],
        "running_recovery": recoveries[1],
        "person_id": str(people[-1].pk),
        "membership_id": str(Membership.objects.get(account=big, user=people[1]).pk),
        "invitation_id": str(invitation.pk),
        "token": invitations.token_of(invitation),
        "stop_token": notice_link.token_for(Membership.objects.get(account=big, user=people[1]), healthy),
        "key": types[0],
        "type": types[0],
        "rare": rare,
        "never": never,
        "since": f"{timezone.localtime() - timedelta(days=20):%Y-%m-%dT%H:%M}",
        "until": f"{timezone.localtime() - timedelta(days=19):%Y-%m-%dT%H:%M}",
        "start": f"{timezone.localtime() - timedelta(days=DAYS):%Y-%m-%dT%H:%M}",
        "now": f"{timezone.localtime() + timedelta(minutes=1):%Y-%m-%dT%H:%M}",
        "owner_cookie": _cookie(people[0]),
        "staff_cookie": _cookie(User.objects.create_superuser("staff@bench.example", name="Staff")),
    }


def _people() -> list[User]:
    return User.objects.bulk_create(
        [User(email=f"person{number}@bench.example", name=f"Person {number}") for number in range(MEMBERS)]
    )


def _join(account: Account, people: list[User]) -> None:
    roles = [Role.OWNER, Role.OWNER, *[Role.MANAGER] * (MEMBERS // 2), *[Role.VIEWER] * MEMBERS]
    Membership.objects.bulk_create(
        [Membership(user=user, account=account, role=role) for user, role in zip(people, roles, strict=False)]
    )
    for number in range(INVITATIONS):
        invitations.invite(account=account, email=f"guest{number}@bench.example", role=Role.VIEWER, by=people[0])


def _remember(account: Account, people: list[User]) -> None:
    """Write a long change history, of everybody in turn."""
    AuditEntry.objects.bulk_create(
        AuditEntry(
            account=account,
            action=Action.ACCOUNT_CHANGED,
            actor_id=by.pk,
            actor_name=by.get_full_name(),
            door=Door.PORTAL,
        )
        for by, _ in zip(itertools.cycle(people), range(HISTORY), strict=False)
    )


def _cookie(user: User) -> str:
    client = Client()
    client.force_login(user, settings.AUTHENTICATION_BACKENDS[0])
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


def _webhooks(accounts: list[Account], names: list[str]) -> list[Webhook]:
    made = timezone.now() - AGE
    webhooks = Webhook.objects.bulk_create(
        [
            Webhook(account=account, name=name, url=f"https://my.system.example/webhook/{number}", created_at=made)
            for number, (account, name) in enumerate(zip(accounts, names, strict=True))
        ]
    )
    WebhookState.objects.bulk_create(
        [WebhookState(webhook=each, since=made, enabled=True, removed=False, event_types=[]) for each in webhooks]
    )
    return webhooks


def _write(count: int, parameters: dict[str, Any]) -> None:
    event = _event(parameters["big"])
    event.status, event.delivery_count, event.dispatched_at = Event.Status.DISPATCHED, 1, timezone.now()
    webhook = Webhook.objects.get(pk=parameters["healthy"])
    delivery = Delivery(event=event, webhook=webhook, url=webhook.url, next_attempt_at=None, attempt_count=1)
    delivery.status, delivery.last_http_status, delivery.finished_at = "SUCCEEDED", 200, timezone.now()
    attempt = _attempt(delivery)
    for row in (event, delivery, attempt):
        row.save(force_insert=True)
    moments = {"created_at": "plan.moment"}
    insert_events = _copy(
        Event,
        id="plan.event_id",
        account_id="plan.account_id",
        type_id="plan.type_id",
        occurred_at="plan.moment",
        dispatched_at="plan.moment",
        **moments,
    )
    insert_deliveries = _copy(
        Delivery,
        id="plan.delivery_id",
        event_id="plan.event_id",
        webhook_id="plan.webhook_id",
        status="CASE WHEN plan.is_dead THEN 'DEAD' ELSE 'SUCCEEDED' END",
        end_reason="CASE WHEN plan.is_dead THEN 'EXHAUSTED' ELSE '' END",
        last_http_status="CASE WHEN plan.is_dead THEN 500 ELSE 200 END",
        finished_at="plan.moment",
        **moments,
    )
    insert_attempts = _copy(
        Attempt,
        id="plan.attempt_id",
        delivery_id="plan.delivery_id",
        started_at="plan.moment",
        http_status="CASE WHEN plan.is_dead THEN 500 ELSE 200 END",
    )
    big = FLOODED + HEALTHY + QUIET
    plan = PLAN.format(flooded=FLOODED, healthy=FLOODED + HEALTHY, big=big, days=DAYS, rare_part=RARE_PART)
    with connection.cursor() as cursor:
        # Nothing of it refers to what is not there; checking each row would take most of the time.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(plan, parameters)
        for insert, template in ((insert_events, event), (insert_deliveries, delivery), (insert_attempts, attempt)):
            cursor.execute(
                f"{insert} CROSS JOIN plan WHERE template.id = %s ORDER BY plan.number",
                [template.pk],
            )
        cursor.execute("SET LOCAL session_replication_role = origin")
    event.delete()
    RollUpMark.objects.update_or_create(pk=1, defaults={"last_attempt_id": Attempt.objects.latest("pk").pk})


def _recover(flooded: Webhook, healthy: Webhook, count: int, by: User) -> list[str]:
    """Let a tenth of all deliveries be those of a recovery that is done, and some those of one that runs."""
    span = {"since": timezone.now() - timedelta(days=DAYS), "until": timezone.now(), "requested_by": by}
    recovered = flooded.deliveries.order_by("pk").values("pk")[: count // RECOVERED_PART]
    done = Recovery.objects.create(
        webhook=flooded,
        kind=Recovery.Kind.FAILED,
        status=Recovery.Status.DONE,
        total=count // RECOVERED_PART,
        replayed=count // RECOVERED_PART,
        finished_at=timezone.now(),
        **span,
    )
    Delivery.objects.filter(pk__in=recovered).update(recovery=done)
    running = Recovery.objects.create(
        webhook=healthy, kind=Recovery.Kind.FAILED, status=Recovery.Status.RUNNING, total=5000, replayed=500, **span
    )
    Delivery.objects.filter(pk__in=healthy.deliveries.order_by("pk").values("pk")[:500]).update(recovery=running)
    return [str(done.pk), str(running.pk)]


def _sights(big: Account, flooded: Webhook, healthy: Webhook, disabled: Webhook) -> Place:
    """Make an event that went to all webhooks and a delivery of many attempts; return ids all along the lists."""
    events = Event.objects.filter(account=big).order_by("pk").values_list("pk", flat=True)
    event_count = events.count()
    dead, arrived = (each.deliveries.order_by("pk").values_list("pk", flat=True) for each in (flooded, healthy))
    dead_count, arrived_count = dead.count(), arrived.count()
    spread = Event.objects.get(pk=events[event_count - 10])
    has_it = spread.deliveries.values("webhook")
    Delivery.objects.bulk_create(
        Delivery(
            event=spread,
            webhook=each,
            url=each.url,
            status="SUCCEEDED",
            attempt_count=1,
            next_attempt_at=None,
            finished_at=timezone.now(),
        )
        for each in Webhook.objects.filter(account=big).exclude(pk__in=has_it).exclude(pk=disabled.pk)
    )
    delivery = arrived[arrived_count - 10]
    Event.objects.filter(pk=spread.pk).update(delivery_count=spread.deliveries.count())
    attempt = Attempt.objects.get(delivery=delivery)
    Attempt.objects.bulk_create(
        _numbered(Attempt.objects.get(pk=attempt.pk), number) for number in range(2, LONG_ATTEMPTS + 1)
    )
    Delivery.objects.filter(pk=delivery).update(attempt_count=LONG_ATTEMPTS)
    return {
        "event_id": str(spread.pk),
        "delivery_id": str(delivery),
        "oldest_event": str(events[100]),
        "middle_event": str(events[event_count // 2]),
        "dead_delivery": str(dead[dead_count // 2]),
        "oldest_dead": str(dead[100]),
        "middle_delivery": str(arrived[arrived_count // 2]),
        "event_of_delivery": str(Delivery.objects.get(pk=delivery).event_id),
    }


def _numbered(attempt: Attempt, number: int) -> Attempt:
    attempt.pk, attempt.number = Attempt._meta.pk.get_default(), number
    return attempt


def _count_hours(webhooks: list[Webhook]) -> None:
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    ids: list[UUID] = [webhook.pk for webhook in webhooks]
    for webhook_id in ids:
        HourlyCount.objects.bulk_create(
            HourlyCount(
                webhook_id=webhook_id,
                hour=this_hour - timedelta(hours=hours),
                succeeded=60,
                failed=3,
                died=1,
                within_50_ms=50,
                within_300_ms=14,
            )
            for hours in range(24 * DAYS)
        )
