"""The ways in which a URL is called, each a function that runs in the network of the tests (`Internet.call`)."""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, NamedTuple, ParamSpec, TypeVar

from django.core.exceptions import ValidationError
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, Role, User
from tests.conftest import client_of, make_member
from tests.security import inside
from webhooks import recovery
from webhooks.engine import names
from webhooks.engine.drain import drain
from webhooks.engine.transport import Request, Transport
from webhooks.events import emit
from webhooks.models import Delivery, EventType, Recovery, Webhook
from webhooks.webhook_url import clean_webhook_url

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 50
EVERYTHING = [ip_network("0.0.0.0/0"), ip_network("::/0")]


class Sent(NamedTuple):
    """What came of a request: an HTTP status or an error, after so many seconds."""

    outcome: str
    seconds: float


def with_guard_open(way: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Go a way in where the operator has opened the guard for every address."""
    with override_settings(WEBHOOK_ALLOWED_NETWORKS=EVERYTHING):
        return way(*args, **kwargs)


# The engine alone


def send(urls: Sequence[str]) -> dict[str, Sent]:
    """Send a request to each, as the engine does."""
    transport: Transport[str] = Transport(AT_ONCE)
    waiting, answers = list(reversed(urls)), {}
    started = time.monotonic()
    while waiting or transport.in_flight:
        while waiting and transport.free:
            url = waiting.pop()
            transport.start(Request(url, [], b"{}"), url)
        for url, answer in transport.finished(0.1):
            answers[url] = Sent(str(answer.http_status or answer.error), time.monotonic() - started)
    transport.close()
    return answers


def send_again_and_again(url: str, count: int) -> list[str]:
    """Send requests one after the other, as if what names stand for were forgotten each time; return what came."""
    outcomes = []
    for _ in range(count):
        names.forget()
        outcomes.append(send([url])[url].outcome)
    return outcomes


def taken_by_form(urls: Sequence[str]) -> dict[str, str]:
    """Return those that could be stored, in the form in which they would be."""
    taken = {}
    for url in urls:
        try:
            taken[url] = clean_webhook_url(url)
        except ValidationError:
            continue
    return taken


def forget() -> None:
    """Forget what names stand for, as is done a minute after a look-up, and what is left to deliver."""
    names.forget()
    Delivery.objects.all().delete()


# The portal


class Owner(NamedTuple):
    client: Client
    user: User
    account: Account


def make_owner() -> Owner:
    account = Account.objects.create(name="Cool Account")
    user = make_member(account, Role.OWNER, f"{uuid.uuid4().hex}@example.com")
    return Owner(client_of(user), user, account)


def make_webhook(account: Account, url: str) -> Webhook:
    """Make a webhook whatever its URL, as one that was saved when the name still stood for something else."""
    return Webhook.objects.register(
        account=account, name="Wink Stalker", url=url, enabled=True, event_types=EventType.objects.none(), by=None
    )


def fields_of(url: str, **changes: str) -> dict[str, str]:
    return {"name": "Wink Stalker", "enabled": "on", "url": url, **changes}


def create(urls: Sequence[str]) -> dict[str, list[str]]:
    """Fill the form for a new webhook in with each; return what it says of the URL, nothing where one was made."""
    owner = make_owner()
    path = reverse("webhooks:webhook_create", args=[owner.account.pk])
    return {url: _errors(owner.client.post(path, fields_of(url, account=str(owner.account.pk)))) for url in urls}


def update(urls: Sequence[str]) -> dict[str, list[str]]:
    """Give a webhook each of the URLs; return what the form says of it, nothing where the webhook was changed."""
    owner = make_owner()
    webhook = make_webhook(owner.account, "http://93.184.216.34:8080/")
    return {url: _change_url(owner, webhook, url) for url in urls}


def _change_url(owner: Owner, webhook: Webhook, url: str) -> list[str]:
    webhook.refresh_from_db()
    path = reverse("webhooks:webhook_update", args=[owner.account.pk, webhook.pk])
    errors = _errors(owner.client.post(path, fields_of(url, version=str(webhook.version))))
    former = webhook.url
    webhook.refresh_from_db()
    assert (webhook.url == former) == bool(errors)
    return errors


def _errors(response: Any) -> list[str]:
    if response.status_code == 302:
        return []
    errors = response.context["form"].errors
    assert list(errors) == ["url"]
    return list(errors["url"])


def deliver(urls: Sequence[str]) -> dict[str, str]:
    """Announce an event to webhooks that have the URLs, and deliver it; return what came of it at each."""
    owner = make_owner()
    return _outcomes(_announce(owner, [make_webhook(owner.account, url) for url in urls]))


def test_events(urls: Sequence[str]) -> dict[str, str]:
    """Send a test event to webhooks that have the URLs; return what came of it at each."""
    owner = make_owner()
    return {url: _test(owner, make_webhook(owner.account, url)) for url in urls}


def _test(owner: Owner, webhook: Webhook) -> str:
    path = reverse("webhooks:test_event", args=[owner.account.pk, webhook.pk])
    response = owner.client.post(path, {"type": "booking.created", "object": "{}", "key": str(uuid.uuid4())})
    return _outcome(response.context["delivery"])


def redeliver(urls: Sequence[str]) -> dict[str, str]:
    """Have deliveries sent again that have ended without success, with the button of each one's page."""
    owner = make_owner()
    return _redeliver(owner, [make_webhook(owner.account, url) for url in urls])


def _redeliver(owner: Owner, webhooks: Sequence[Webhook]) -> dict[str, str]:
    deliveries = _give_up(_announce(owner, webhooks))
    _press(owner, "webhooks:delivery_redeliver", deliveries)
    return _outcomes_of_next(deliveries)


def try_at_once(urls: Sequence[str]) -> dict[str, str]:
    """Have deliveries tried at once that wait for their next attempts, with the button of each one's page."""
    owner = make_owner()
    return _try_at_once(owner, [make_webhook(owner.account, url) for url in urls])


def _try_at_once(owner: Owner, webhooks: Sequence[Webhook]) -> dict[str, str]:
    deliveries = _announce(owner, webhooks)
    _set_all(
        deliveries, status=Delivery.Status.RETRYING, end_reason="", finished_at=None, next_attempt_at=_in_an_hour()
    )
    _press(owner, "webhooks:delivery_retry", deliveries)
    return _outcomes_of_next(deliveries)


def recover(urls: Sequence[str]) -> dict[str, str]:
    """Have everything sent again that has ended without success, through the form for it at each webhook."""
    owner = make_owner()
    return _recover(owner, [make_webhook(owner.account, url) for url in urls])


def _recover(owner: Owner, webhooks: Sequence[Webhook]) -> dict[str, str]:
    deliveries = _give_up(_announce(owner, webhooks))
    # What was made in the very millisecond in which a recovery begins is not in it.
    time.sleep(0.005)
    now = timezone.now()
    span = {
        name: f"{moment:%Y-%m-%dT%H:%M}"
        for name, moment in (("since", now - timedelta(days=1)), ("until", now + timedelta(days=1)))
    }
    fields = {"kind": Recovery.Kind.FAILED, "time_zone": "UTC", **span}
    for webhook in webhooks:
        owner.client.post(reverse("webhooks:recovery_create", args=[owner.account.pk, webhook.pk]), fields)
        recovery.work(webhook.recoveries.latest("pk").pk)
    return _outcomes_of_next(deliveries)


def move_after_saving(url: str, before: inside.Answers, after: inside.Answers) -> dict[str, str]:
    """Make a webhook in the form while names stand for what is in `before`; return what each way in comes to `after`.

    The way "saved" is a delivery before they have changed.
    """
    owner = make_owner()
    inside.answer_with(before)
    path = reverse("webhooks:webhook_create", args=[owner.account.pk])
    assert owner.client.post(path, fields_of(url, account=str(owner.account.pk))).status_code == 302
    webhook = owner.account.webhooks.get()
    came = {"saved": _only(_outcomes(_announce(owner, [webhook])))}
    inside.answer_with(after)
    ways: dict[str, Callable[[], str]] = {
        "delivery": lambda: _only(_outcomes(_announce(owner, [webhook]))),
        "test event": lambda: _test(owner, webhook),
        "redelivery": lambda: _only(_redeliver(owner, [webhook])),
        "retry": lambda: _only(_try_at_once(owner, [webhook])),
        "recovery": lambda: _only(_recover(owner, [webhook])),
        "update": lambda: "".join(_change_url(owner, webhook, f"{url}new")),
    }
    for name, way in ways.items():
        forget()
        came[name] = way()
    return came


# The engine in the portal


def _announce(owner: Owner, webhooks: Sequence[Webhook]) -> list[Delivery]:
    """Announce an event that the webhooks get, and deliver it."""
    # One that rests would get nothing.
    Webhook.objects.filter(pk__in=[webhook.pk for webhook in webhooks]).update(cooling_until=None)
    event = emit(type="booking.created", account=owner.account, object={})
    drain()
    deliveries = list(event.deliveries.select_related("webhook"))
    assert {delivery.webhook_id for delivery in deliveries} == {webhook.pk for webhook in webhooks}
    return deliveries


def _give_up(deliveries: list[Delivery]) -> list[Delivery]:
    """Let deliveries have ended without success, whatever came of them."""
    _set_all(
        deliveries,
        status=Delivery.Status.DEAD,
        end_reason=Delivery.EndReason.EXHAUSTED,
        next_attempt_at=None,
        finished_at=timezone.now(),
    )
    return deliveries


def _set_all(deliveries: list[Delivery], **fields: Any) -> None:
    Delivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries]).update(**fields)


def _in_an_hour() -> datetime:
    return timezone.now() + timedelta(hours=1)


def _press(owner: Owner, name: str, deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        owner.client.post(reverse(name, args=[owner.account.pk, delivery.webhook_id, delivery.pk]))


def _outcomes_of_next(deliveries: list[Delivery]) -> dict[str, str]:
    drain()
    assert {delivery.attempts.count() for delivery in deliveries} == {2}
    return _outcomes(deliveries)


def _outcomes(deliveries: list[Delivery]) -> dict[str, str]:
    """Return the status or the error of each one's last attempt, by URL."""
    return {delivery.webhook.url: _outcome(delivery) for delivery in deliveries}


def _outcome(delivery: Delivery) -> str:
    attempt = delivery.attempts.order_by("number").last()
    assert attempt
    return str(attempt.http_status or attempt.error)


def _only(outcomes: dict[str, str]) -> str:
    [outcome] = outcomes.values()
    return outcome
