"""What tests want done in a stack: each function runs in a process of it, through `Stack.call`."""

import dataclasses
import random
import time
import uuid
from datetime import timedelta
from typing import Any, TypedDict, cast
from unittest import mock
from uuid import UUID

from allauth.account.forms import default_token_generator as reset_tokens
from allauth.account.utils import user_pk_to_url_str
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, Membership, Role, User
from webhooks import events, notice_choices, notices, recovery
from webhooks.engine.dispatch import dispatch
from webhooks.models import Attempt, Delivery, Event, EventType, HourlyCount, Recovery, StaleVersion, Webhook
from webhooks.signals import event_occurred
from winkhooks.celery import app

EVENTS_A_TRANSACTION = 20


# Waiting for what is on its way looks so often.
LOOK_SECONDS = 0.05


class Announced(TypedDict):
    event_ids: list[str]
    committed_at: float
    seconds: float


class Listener(TypedDict):
    account_id: str
    webhook_id: str
    secret: str


class OwnedListener(Listener):
    email: str


class Listeners(TypedDict):
    account_id: str
    webhook_ids: list[str]


def make_listener(url: str) -> Listener:
    """Make an account with a webhook that gets every event."""
    return add_listener(str(Account.objects.create(name="Cool Account").pk), url)


def add_listener(account_id: str, url: str) -> Listener:
    """Give an account a webhook that gets every event."""
    webhook = Webhook.objects.create(account_id=account_id, name="Wink Stalker", url=url)
    return Listener(account_id=account_id, webhook_id=str(webhook.pk), secret=webhook.secret)


def make_listeners(url: str, count: int) -> Listeners:
    """Make an account with webhooks that get every event, each at a path of its own below `url`."""
    account = Account.objects.create(name="Cool Account")
    webhooks = [
        Webhook.objects.create(account=account, name=f"Wink Stalker {number}", url=f"{url}/{number}")
        for number in range(count)
    ]
    return Listeners(account_id=str(account.pk), webhook_ids=[str(webhook.pk) for webhook in webhooks])


def make_owner(email: str, password: str, account_names: list[str]) -> list[str]:
    """Make a user who owns accounts of these names; return their ids."""
    owner = User.objects.create_user(email, password, name="Olivia Owner")
    accounts = [Account.objects.create(name=name) for name in account_names]
    for account in accounts:
        Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    return [str(account.pk) for account in accounts]


def make_owned_listener(email: str, password: str, url: str) -> OwnedListener:
    """Do the same as `make_listener`, in the account of a new owner."""
    [account_id] = make_owner(email, password, ["Cool Account"])
    webhook = Webhook.objects.create(account_id=account_id, name="Wink Stalker", url=url)
    return OwnedListener(account_id=account_id, webhook_id=str(webhook.pk), secret=webhook.secret, email=email)


def make_watched_listener(
    owner: str, manager: str, viewer: str, left_out: str, password: str, url: str
) -> OwnedListener:
    """Do the same with more members: a Finnish manager, a viewer who wants e-mails, and a manager who wants none."""
    listener = make_owned_listener(owner, password, url)
    account = Account.objects.get(pk=listener["account_id"])
    webhook = Webhook.objects.get(pk=listener["webhook_id"])
    people = [(manager, Role.MANAGER, "fi", True), (viewer, Role.VIEWER, "", True), (left_out, Role.MANAGER, "", False)]
    for email, role, language, wants in people:
        user = User.objects.create_user(email, password, language=language)
        notice_choices.choose(Membership.objects.create(account=account, user=user, role=role), webhook, wants)
    return listener


def give_hard_values(webhook_id: str) -> None:
    """Give a webhook what is hard to show: a long name that runs from right to left, a long URL, and figures."""
    webhook = Webhook.objects.get(pk=webhook_id)
    Webhook.objects.filter(pk=webhook_id).update(name="שלום" * 50, url=f"{webhook.url}?{'long' * 100}")
    for hours in range(0, 720, 5):
        HourlyCount.objects.create(
            webhook=webhook,
            hour=timezone.now() - timedelta(hours=hours),
            succeeded=hours * 1000,
            failed=hours % 70,
            died=hours % 30,
            within_2000_ms=hours,
        )


def has_notice() -> bool:
    """Say whether there is something to tell of any webhook."""
    return notices.claim() is not None


RTL = "فنادق النخيل"
LONG = "Varausjärjestelmienvälinentapahtumailmoitustenedelleenlähetyspalvelu"


def make_hard_estate(webhook_count: int) -> dict[str, str]:
    """Make an account of much that is hard to show; return a session of its owner, and where its pages are, by name.

    Names run from right to left or are one long word, an event has all of the 256 KB, an answer is a page of HTML.
    """
    from tests.bench.pages import NO_PAGES
    from tests.security.cast import make_estate, path_values, signed_in
    from tests.security.routes import all_routes

    with transaction.atomic():
        estate = make_estate(RTL)
        # Nothing happens to it while it is looked at.
        estate.webhook.disable(Webhook.DisabledReason.BY_USER, estate.owner)
        event = events.emit(type="booking.created", account=estate.account, object={"text": LONG * 3680})
        Event.objects.filter(pk=event.pk).update(status=Event.Status.NO_SUBSCRIBERS)
        Event.objects.filter(pk=estate.event.pk).update(body=event.body, idempotency_key=LONG * 3)
        User.objects.filter(pk=estate.owner.pk).update(name=f"{RTL} {RTL}")
        User.objects.filter(pk=estate.colleague.user_id).update(name=LONG)
        Webhook.objects.filter(pk=estate.webhook.pk).update(name=f"{RTL}!", url=f"https://x.example/{LONG * 6}")
        Delivery.objects.filter(pk=estate.delivery.pk).update(url=f"https://x.example/?{RTL}={LONG * 6}")
        page = f"<h1>{LONG}</h1><script>document.title = 'run'</script><img src=x><form action=/><p>{RTL}".encode()
        Attempt.objects.filter(pk=estate.attempt.pk).update(
            http_status=500,
            error="",
            error_text="",
            request_headers=[["Wink-Signature", LONG * 4]],
            response_headers=[["Content-Type", "text/html"], [LONG, LONG * 2]],
            response_snippet=page,
        )
        now = timezone.now()
        names = [RTL, LONG, "<b>Bold</b> & “quoted”", *(f"Webhook {each}" for each in range(webhook_count))]
        # Made and disabled a while ago, so that no worker has anything to send.
        Webhook.objects.bulk_create(
            Webhook(
                account=estate.account,
                name=name,
                url=f"https://x.example/{LONG}",
                enabled=False,
                disabled_at=now,
                disabled_reason=Webhook.DisabledReason.BY_USER,
                disabled_by=estate.owner,
            )
            for name in names
        )
    values = path_values(estate)
    return {
        "session": str(signed_in(estate.owner).session.session_key),
        **{
            route.name: route.url(values)
            for route in all_routes()
            if not route.name.startswith("admin:") and route.name not in {*NO_PAGES, "webhooks:webhook_live"}
        },
    }


def make_superuser(email: str, password: str) -> None:
    User.objects.create_superuser(email, password, name="Sam Staff")


class History(TypedDict):
    event_id: str
    other_id: str


def make_history(account_id: str, webhook_count: int, event_count: int) -> History:
    """Make webhooks and events of an account, all of it past; return an event, and one that nobody was to get.

    Of the webhooks, “Night statistics” was disabled as the event was dispatched, and is enabled by now; “Archive” got
    the event; the others had not chosen it.
    """
    account = Account.objects.get(pk=account_id)
    owner = account.memberships.get(role=Role.OWNER).user

    def register(name: str, *event_types: str) -> Webhook:
        chosen = EventType.objects.filter(key__in=event_types)
        url = "https://my.system.example/"
        return Webhook.objects.register(account=account, name=name, url=url, enabled=True, event_types=chosen, by=owner)

    # In one transaction, so that no worker finds anything to do.
    with transaction.atomic():
        for number in range(webhook_count - 2):
            register(f"Channel manager {number}", "booking.cancelled", "property.created")
        register("Archive")
        night = register("Night statistics", "booking.created")
        night.disable(Webhook.DisabledReason.BY_USER, owner)
        event = _send(account, 0)
        other = events.emit(type="booking.sync.run", account=account, object={})
        dispatch()
        event.deliveries.update(
            status=Delivery.Status.SUCCEEDED,
            attempt_count=1,
            last_http_status=204,
            next_attempt_at=None,
            finished_at=timezone.now(),
        )
        Attempt.objects.bulk_create(
            [
                Attempt(delivery=delivery, number=1, started_at=timezone.now(), duration_ms=5, http_status=204)
                for delivery in event.deliveries.all()
            ]
        )
        night.enable(owner)
        Event.objects.bulk_create(
            [
                Event(
                    account=account,
                    type_id="booking.cancelled",
                    occurred_at=timezone.now(),
                    recipient_role="SELF",
                    body=event.body,
                    status=Event.Status.NO_SUBSCRIBERS,
                )
                for _ in range(event_count - 2)
            ],
            batch_size=1000,
        )
    return History(event_id=str(event.pk), other_id=str(other.pk))


def announce(account_id: str, count: int = 1) -> Announced:
    """Announce as a service does, in one transaction; `seconds` is how long it took until that was committed.

    `committed_at` is that moment of `time.monotonic`, which all processes of a machine share.
    """
    account = Account.objects.get(pk=account_id)
    # A service that has run for a while has read the catalogue and is connected.
    events.resolve_type("booking.created")
    started = time.monotonic()
    with transaction.atomic():
        announced = [_send(account, number) for number in range(count)]
    committed_at = time.monotonic()
    return Announced(
        event_ids=[str(event.pk) for event in announced], committed_at=committed_at, seconds=committed_at - started
    )


def announce_without_bell(account_id: str) -> str:
    """Announce an event whose bell gets lost; return its id."""
    with mock.patch("webhooks.wake.ring"):
        return str(_send(Account.objects.get(pk=account_id), 0).pk)


def announce_and_roll_back(account_id: str) -> str:
    """Announce in a transaction that is rolled back; return the id that the event would have had."""
    with transaction.atomic():
        event = _send(Account.objects.get(pk=account_id), 0)
        transaction.set_rollback(True)
    return str(event.pk)


def announce_steadily(account_id: str, count: int, per_second: float, patience: float) -> list[str]:
    """Announce in many small transactions; return the ids of the events.

    One that fails is tried again for `patience` seconds. Each event has a key, so that none is announced twice of which
    the commit was in doubt.
    """
    run = uuid.uuid4().hex
    account = Account.objects.get(pk=account_id)
    events.resolve_type("booking.created")
    event_ids: list[str] = []
    started = time.monotonic()
    for first in range(0, count, EVENTS_A_TRANSACTION):
        time.sleep(max(0.0, started + first / per_second - time.monotonic()))
        numbers = range(first, min(first + EVENTS_A_TRANSACTION, count))
        event_ids += _announce_until_committed(account, run, numbers, patience)
    return event_ids


def _announce_until_committed(account: Account, run: str, numbers: range, patience: float) -> list[str]:
    deadline = time.monotonic() + patience
    while True:
        try:
            with transaction.atomic():
                return [str(_send(account, number, f"{run}-{number}").pk) for number in numbers]
        except (DatabaseError, InterfaceError):
            if time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(0.1)


def _send(account: Account, number: int, key: str | None = None) -> Event:
    ((_, event),) = event_occurred.send(
        sender=None,
        type="booking.created",
        account=account,
        object={"bookingCode": f"WNK{number:05}"},
        idempotency_key=key,
    )
    return cast(Event, event)


def pool_process_ids() -> list[int]:
    """Return the processes of the worker that run tasks, as it says itself; there is one worker."""
    [stats] = (app.control.inspect(timeout=10, limit=1).stats() or {}).values()
    return list(stats["pool"]["processes"])


def count_everything() -> dict[str, Any]:
    """Return `events.ledger()`, with whether it balances."""
    ledger = events.ledger()
    return {**dataclasses.asdict(ledger), "balances": ledger.balances, "unfinished": ledger.unfinished}


def statuses_of(webhook_id: str) -> list[str]:
    """Return the statuses that the webhook's deliveries have."""
    return sorted(Delivery.objects.filter(webhook_id=webhook_id).order_by().values_list("status", flat=True).distinct())


class Standing(TypedDict):
    """How webhooks stand: their deliveries by status, those that are claimed, and the ledger of everything."""

    deliveries: dict[str, int]
    leases: int
    balances: bool
    unfinished: int


def standing_of(webhook_ids: list[str]) -> Standing:
    deliveries = Delivery.objects.filter(webhook_id__in=webhook_ids).order_by()
    ledger = events.ledger()
    return Standing(
        deliveries=dict(deliveries.values_list("status").annotate(Count("id"))),
        leases=deliveries.filter(leased_until__isnull=False).count(),
        balances=ledger.balances,
        unfinished=ledger.unfinished,
    )


def settle(webhook_ids: list[str], seconds: float) -> Standing:
    """Wait until nothing is left to deliver, or time is up; return how the webhooks stand."""
    wait_until_finished(seconds)
    return standing_of(webhook_ids)


def path_of_delivery(webhook_id: str, attempts: int, seconds: float) -> str:
    """Wait until so many attempts of the webhook's one delivery are recorded; return the path of its page."""
    until = time.monotonic() + seconds
    deliveries = Delivery.objects.filter(webhook_id=webhook_id, attempt_count=attempts, leased_until=None)
    while (delivery := deliveries.select_related("webhook").first()) is None:
        assert time.monotonic() < until, f"There are no {attempts} attempts."
        time.sleep(LOOK_SECONDS)
    return reverse("webhooks:delivery_detail", args=[delivery.webhook.account_id, delivery.webhook_id, delivery.pk])


class Missed(TypedDict):
    """Events that happened before there was a webhook for them."""

    account_id: str
    webhook_id: str
    event_ids: list[str]


def make_missed(url: str, count: int) -> Missed:
    """Announce events, and make a webhook that gets every event once they are dispatched to nobody."""
    account = Account.objects.create(name="Cool Account")
    event_ids = announce(str(account.pk), count)["event_ids"]
    deadline = time.monotonic() + 60
    while account.events.filter(status=Event.Status.NEW).exists():
        assert time.monotonic() < deadline, "Not everything was dispatched in time."
        time.sleep(0.1)
    webhook = Webhook.objects.create(account=account, name="Wink Stalker", url=url)
    return Missed(account_id=str(account.pk), webhook_id=str(webhook.pk), event_ids=event_ids)


def start_recovery(webhook_id: str) -> str:
    """Have all that the webhook missed sent to it; return the id of the recovery."""
    webhook = Webhook.objects.get(pk=webhook_id)
    person = User.objects.create_user(f"{uuid.uuid4().hex}@example.com", "a-password-for-tests", name="Olivia Owner")
    now = timezone.now()
    return str(recovery.start(webhook, Recovery.Kind.MISSED, now - timedelta(days=1), now, person).pk)


def cancel_recovery(recovery_id: str) -> float:
    """Cancel it as its page does; return the moment of `time.monotonic` at which somebody pressed the button."""
    running = Recovery.objects.get(pk=recovery_id)
    assert running.requested_by is not None
    pressed_at = time.monotonic()
    recovery.cancel(running, running.requested_by)
    return pressed_at


class Recovered(TypedDict):
    status: str
    total: int
    arrived: int
    failed: int
    cancelled: int
    waiting: int
    left: int
    gone: int


def wait_for_recovery(recovery_id: str, seconds: float) -> Recovered:
    """Wait until it has finished; return what became of it."""
    deadline = time.monotonic() + seconds
    while (found := Recovery.objects.get(pk=recovery_id)).finished_at is None:
        assert time.monotonic() < deadline, f"The recovery has not finished: {found.standing()}"
        time.sleep(0.1)
    return cast(Recovered, {"status": found.status, "total": found.total, **found.standing()._asdict()})


class Deeds(TypedDict):
    done: int
    errors: list[str]


def meddle(webhook_ids: list[str], seconds: float) -> Deeds:
    """Do for so many seconds, at random, what people do with webhooks and deliveries; at the end all are on."""
    chance = random.Random(0)
    webhooks = list(Webhook.objects.filter(pk__in=webhook_ids).select_related("account"))
    person = User.objects.create_user(f"{uuid.uuid4().hex}@example.com", "a-password-for-tests", name="Olivia Owner")
    deeds = Deeds(done=0, errors=[])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        webhook = chance.choice(webhooks)
        # What a person has ticked in a list, in whatever order the database brings it.
        ticked = webhook.deliveries.filter(pk__in=list(webhook.deliveries.values_list("pk", flat=True)[:500]))
        try:
            match chance.randrange(7):
                case 0:
                    webhook.disable(Webhook.DisabledReason.BY_USER, person)
                case 1:
                    webhook.enable()
                case 2:
                    webhook.refresh_from_db()
                    _change(webhook, person)
                case 3:
                    ticked.cancel(Delivery.EndReason.BY_USER)
                case 4:
                    ticked.redeliver()
                case 5:
                    ticked.retry_now()
                case 6 if len(webhooks) > 3:
                    webhooks.remove(webhook)
                    webhook.remove(person)
        except StaleVersion:
            pass
        except Exception as error:
            deeds["errors"].append(repr(error))
        deeds["done"] += 1
        time.sleep(0.02)
    for webhook in webhooks:
        webhook.enable()
    return deeds


def _change(webhook: Webhook, person: User) -> None:
    webhook.change(
        version=webhook.version,
        name=f"{webhook.name}!"[:100],
        url=webhook.url,
        enabled=not webhook.enabled,
        event_types=EventType.objects.filter(key="booking.created"),
        rate_limit=webhook.rate_limit,
        by=person,
    )


def wait_for_rest(webhook_ids: list[str], seconds: float) -> list[float]:
    """Wait until all webhooks rest; return of each delivery that failed how long after its attempt it is due."""
    deliveries = Delivery.objects.filter(webhook_id__in=webhook_ids)
    awake = Webhook.objects.filter(pk__in=webhook_ids, cooling_until=None)
    until = time.monotonic() + seconds
    while awake.exists() or deliveries.filter(leased_until__isnull=False).exists():
        assert time.monotonic() < until, "Not all webhooks rest."
        time.sleep(0.1)
    failed = Attempt.objects.filter(delivery__in=deliveries.filter(status=Delivery.Status.RETRYING))
    times = failed.values_list("started_at", "delivery__next_attempt_at")
    return [(due - started_at).total_seconds() for started_at, due in times if due]


def wait_until_attempted(webhook_id: str, seconds: float) -> None:
    """Wait until something has been sent to the webhook."""
    until = time.monotonic() + seconds
    while not Attempt.objects.filter(delivery__webhook_id=webhook_id).exists():
        assert time.monotonic() < until, "Nothing has been sent."
        time.sleep(0.1)


def remove_webhooks(webhook_ids: list[str]) -> None:
    for webhook in Webhook.objects.filter(pk__in=webhook_ids):
        webhook.remove(None)


def settle_with_retries(webhook_ids: list[str], seconds: float) -> Standing:
    """Do the same as `settle`, and make retries due as soon as they are scheduled, as if time passed."""
    until = time.monotonic() + seconds
    while events.ledger().unfinished and time.monotonic() < until:
        Delivery.objects.filter(webhook_id__in=webhook_ids, status=Delivery.Status.RETRYING).retry_now()
        wait_until_finished(1)
    # A worker finds out twice a second what of that which it holds was cancelled.
    held = Delivery.objects.filter(webhook_id__in=webhook_ids, leased_until__isnull=False)
    while held.exists() and time.monotonic() < until:
        time.sleep(0.1)
    return standing_of(webhook_ids)


def event_exists(event_id: str) -> bool:
    return Event.objects.filter(pk=event_id).exists()


def wait_until_finished(seconds: float, account_id: str | None = None) -> bool:
    """Wait until nothing is left to deliver, of one account or at all; return whether that came to be."""
    new = Event.objects.filter(status=Event.Status.NEW)
    unfinished = Delivery.objects.unfinished()
    if account_id:
        account = UUID(account_id)
        new, unfinished = new.filter(account=account), unfinished.filter(event__account=account)
    deadline = time.monotonic() + seconds
    while new.exists() or unfinished.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def take_reset_link(email: str) -> str:
    """Return the path of the link that lets the user of the address choose a new password, as it would be sent."""
    user = User.objects.get(email=email)
    return reverse("account_reset_password_from_key", args=[user_pk_to_url_str(user), reset_tokens.make_token(user)])
