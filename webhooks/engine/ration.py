"""Taking due deliveries of webhooks to which not all may be sent that is due.

Its owner has set a limit per second, or it is cooling down and one delivery, the probe, decides whether it has
recovered. Either holds over all workers: who takes something locks the webhook's row for that moment.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from webhooks.engine.claim import Claim, due_of, first_of, kept_from_replays, lease
from webhooks.models import Delivery, Webhook
from webhooks.models.delivery import DeliveryQuerySet

# So much of a second's limit may be sent at once. More would come close to twice the limit within a second.
BURST_SECONDS = 0.1
WEBHOOKS_AT_ONCE = 100
# Nothing is sent, nor any answer read, while webhooks are asked one after the other.
LONGEST_SECONDS = 0.05


@dataclass
class Rations:
    """What was taken, and whether a limit kept something back that can go within the next second."""

    claims: list[Claim] = field(default_factory=list)
    more_follows: bool = False


def claim_rationed(taken: Mapping[str, int], room: int, limit: int, *, with_probes: bool = True) -> Rations:
    """Take up to `limit` due deliveries of rationed webhooks, as many of each as its ration and its room allow.

    Without probes only of those that have a limit, and do not cool down.
    """
    rations = Rations()
    now = timezone.now()
    # One that waits for the outcome of a probe here has nothing to give.
    rested = Q(cooling_until__lte=now) & ~Q(pk__in=[webhook_id for webhook_id, count in taken.items() if count])
    open_now = Webhook.objects.rationed().filter(
        Q(cooling_until=None) | rested if with_probes else Q(cooling_until=None)
    )
    # Mostly there are none, and this is asked all the time.
    if not open_now.exists():
        return rations
    due = Delivery.objects.filter(webhook=OuterRef("pk"), next_attempt_at__lte=now)
    askable = list(open_now.filter(Exists(due)).order_by("?").values_list("pk", flat=True)[:WEBHOOKS_AT_ONCE])
    end = time.monotonic() + LONGEST_SECONDS
    for number, webhook_id in enumerate(askable):
        if number and time.monotonic() > end:
            rations.more_follows = True
            break
        free = room - taken.get(str(webhook_id), 0)
        wanted = min(free, limit - len(rations.claims))
        if wanted > 0:
            _take(webhook_id, wanted, free - kept_from_replays(room), now, rations)
    return rations


def _take(webhook_id: UUID, wanted: int, replays: int, now: datetime, rations: Rations) -> None:
    with transaction.atomic():
        webhook = (
            Webhook.objects.select_for_update(skip_locked=True, no_key=True)
            .only("rate_limit", "rate_tokens", "rate_tokens_at", "cooling_until")
            .filter(pk=webhook_id)
            .first()
        )
        if webhook is None:
            return
        allowed = _allowed(webhook, now)
        if not allowed and webhook.cooling_until is not None:
            return
        due = first_of(_in_turn(webhook, now), min(wanted, allowed) + 1, replays)
        chosen = due[: min(wanted, allowed)]
        rations.more_follows |= len(due) > allowed and webhook.cooling_until is None
        if chosen and webhook.cooling_until is None:
            tokens = _tokens(webhook, now) - len(chosen)
            Webhook.objects.filter(pk=webhook.pk).update(rate_tokens=tokens, rate_tokens_at=now)
        rations.claims += lease(chosen, now)


def _in_turn(webhook: Webhook, now: datetime) -> DeliveryQuerySet:
    due = due_of(webhook.pk, now)
    if webhook.cooling_until is None:
        return due
    # The probe is what somebody asked for by hand, else the oldest delivery, whatever it is. With the first attempt of
    # a new one each time, none of a webhook that keeps failing would ever come to its end. A replay decides nothing,
    # and goes only where nothing else is due.
    due = due.order_by("pk")
    probes = due.exclude(priority=Delivery.Priority.REPLAY)
    for preferred in (probes.chosen_by_hand(webhook.cooling_until), probes):
        if preferred.exists():
            return preferred
    return due


def _allowed(webhook: Webhook, now: datetime) -> int:
    """Say how many requests may be sent to the webhook at this moment."""
    if webhook.cooling_until is None:
        return int(_tokens(webhook, now))
    probe_under_way = Delivery.objects.unfinished().filter(webhook=webhook.pk, leased_until__gt=now).exists()
    return 0 if probe_under_way or webhook.cooling_until > now else 1


def _tokens(webhook: Webhook, now: datetime) -> float:
    assert webhook.rate_limit is not None
    most = max(1.0, webhook.rate_limit * BURST_SECONDS)
    if webhook.rate_tokens_at is None:
        return most
    # A clock that went back gives nothing, and takes nothing.
    passed = max(0.0, (now - webhook.rate_tokens_at).total_seconds())
    return min(most, webhook.rate_tokens + passed * webhook.rate_limit)
