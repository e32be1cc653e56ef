"""What the test of hostile receivers does within its stack."""

import re
import time
from collections import defaultdict
from typing import TypedDict
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import reverse

from accounts.models import Account, Membership, Role, User
from tests.security.hostile import RECEIVERS
from webhooks import events
from webhooks.models import Attempt, Delivery, Webhook

# Large, so that the request has mostly not ended when an answer comes early.
HOSTILE_EVENT_BYTES = 150_000
# All but line breaks and tabs, and what turns the direction of text.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# A tag, an attribute or a template that is not ours: as text each has its signs escaped.
PLANTED = re.compile(r"<x-planted|<script>x|x</script>49|<[^>]* onclick=|href=[\"']?javascript:", re.IGNORECASE)


class Cast(TypedDict):
    healthy_account_id: str
    hostile_account_id: str
    webhook_ids: list[str]


def make_cast(healthy_url: str, healthy: int, hostile_url: str, hanging: int) -> Cast:
    """Make an account with healthy webhooks, and one with a webhook for each hostile receiver, and more that hang."""
    good, bad = (Account.objects.create(name=name) for name in ("Cool Account", "Hostile Account"))
    for number in range(healthy):
        Webhook.objects.create(account=good, name=f"Healthy {number}", url=f"{healthy_url}/{number}")
    names = [*RECEIVERS, *(f"{name}/{number}" for name in ("never", "kept-open") for number in range(hanging))]
    webhooks = [Webhook.objects.create(account=bad, name=name, url=f"{hostile_url}/{name}") for name in names]
    return Cast(
        healthy_account_id=str(good.pk),
        hostile_account_id=str(bad.pk),
        webhook_ids=[str(webhook.pk) for webhook in webhooks],
    )


def announce_beside(cast: Cast, seconds: float, per_second: float, hostile_every: int) -> dict[str, float]:
    """Announce to the healthy, one event a transaction, and every so often to the hostile as well.

    Return when each event of the healthy was committed, as a moment of `time.monotonic`.
    """
    good, bad = (Account.objects.get(pk=cast[key]) for key in ("healthy_account_id", "hostile_account_id"))
    large = {"text": "x" * HOSTILE_EVENT_BYTES}
    committed: dict[str, float] = {}
    started = time.monotonic()
    for number in range(int(seconds * per_second)):
        time.sleep(max(0.0, started + number / per_second - time.monotonic()))
        if number % hostile_every == 0:
            with transaction.atomic():
                events.emit(type="booking.created", account=bad, object=large)
        with transaction.atomic():
            event = events.emit(type="booking.created", account=good, object={"bookingCode": f"WNK{number:05}"})
        committed[str(event.pk)] = time.monotonic()
    return committed


def outcomes(cast: Cast, seconds: float) -> dict[str, list[int | str]]:
    """Wait until each hostile webhook has an attempt; return what all came to, by the name of the receiver."""
    deadline = time.monotonic() + seconds
    attempts = Attempt.objects.filter(delivery__webhook__in=_webhook_ids(cast))
    while attempts.values("delivery__webhook").distinct().count() < len(cast["webhook_ids"]):
        assert time.monotonic() < deadline, "Not every hostile receiver was called."
        time.sleep(0.1)
    found: defaultdict[str, set[int | str]] = defaultdict(set)
    for name, status, error in attempts.values_list("delivery__webhook__name", "http_status", "error"):
        found[name.partition("/")[0]].add(status or error)
    return {name: sorted(values, key=str) for name, values in found.items()}


class Read(TypedDict):
    pages: int
    harmful: list[str]
    with_text: int


def read_pages(cast: Cast, names: list[str]) -> Read:
    """Read all pages that show what the hostile receivers of these names wrote; return where it does something."""
    setup_test_environment()
    # No files are collected here.
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    owner = User.objects.create_user("owner@example.com", "a-password-for-tests", name="Olivia Owner")
    Membership.objects.create(account_id=cast["hostile_account_id"], user=owner, role=Role.OWNER)
    staff = User.objects.create_superuser("root@example.com", "a-password-for-tests", name="Sam Staff")
    read = Read(pages=0, harmful=[], with_text=0)
    for user, paths in ((owner, _portal_paths(cast, names)), (staff, _admin_paths(cast, names))):
        client = Client()
        client.force_login(user)
        for path in paths:
            response = client.get(path)
            assert response.status_code == 200, f"{path}: {response.status_code}"
            page = response.getvalue().decode()
            read["pages"] += 1
            read["with_text"] += "x-planted" in page
            for what in (ACTING.search(page), PLANTED.search(page)):
                if what:
                    read["harmful"].append(f"{path}: {page[max(0, what.start() - 80) : what.end() + 20]!a}")
    return read


def _portal_paths(cast: Cast, names: list[str]) -> list[str]:
    account_id = cast["hostile_account_id"]
    paths = [reverse("webhooks:webhook_list", args=[account_id]), reverse("webhooks:event_list", args=[account_id])]
    for delivery in _one_delivery_each(cast, names):
        paths.append(reverse("webhooks:webhook_detail", args=[account_id, delivery.webhook_id]))
        paths.append(reverse("webhooks:delivery_detail", args=[account_id, delivery.webhook_id, delivery.pk]))
    return paths


def _admin_paths(cast: Cast, names: list[str]) -> list[str]:
    paths = [reverse(f"admin:webhooks_{model}_changelist") for model in ("webhook", "delivery", "attempt")]
    for delivery in _one_delivery_each(cast, names):
        paths.append(reverse("admin:webhooks_webhook_change", args=[delivery.webhook_id]))
        paths.append(reverse("admin:webhooks_delivery_change", args=[delivery.pk]))
        attempt = delivery.attempts.earliest("number")
        paths.append(reverse("admin:webhooks_attempt_change", args=[attempt.pk]))
    return paths


def _one_delivery_each(cast: Cast, names: list[str]) -> list[Delivery]:
    """Return of each receiver a delivery that was tried."""
    tried = Delivery.objects.filter(webhook__in=_webhook_ids(cast), webhook__name__in=names, attempt_count__gt=0)
    return list({delivery.webhook.name: delivery for delivery in tried.select_related("webhook")}.values())


def _webhook_ids(cast: Cast) -> list[UUID]:
    return [UUID(text) for text in cast["webhook_ids"]]
