import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.access import SignedInRequest, get_membership, may_manage_webhooks
from webhooks import figures, notice_choices
from webhooks.delivery_search import PAGE, find
from webhooks.filters import DeliveryFilter
from webhooks.models import Webhook
from webhooks.standing import standing_of
from webhooks.views import new_secrets
from webhooks.views.webhook import tab_context
from winkhooks.paging import key_in

RECOVERIES = 5


@dataclass(frozen=True)
class SigningSecret:
    """What a page tells of a secret after it was shown."""

    last_four: str | None
    """None where it cannot be read."""
    previous_valid_until: datetime | None


@login_required
@require_safe
def webhook_detail(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    webhook = _get_webhook(account_id, webhook_id)
    may_manage = may_manage_webhooks(membership) and not webhook.removed_at
    context = tab_context(membership) | _changing_parts(webhook, request.GET)
    context |= {
        "may_manage": may_manage,
        "event_types": webhook.event_types.only("key").order_by("key"),
        "filter_form": DeliveryFilter(request.GET),
        "periods": _periods(webhook),
        "recoveries": webhook.recoveries.recent(RECOVERIES),
        "here": request.path,
    }
    if not webhook.removed_at:
        context["notice_recipients"] = list(notice_choices.recipients(webhook))
    if may_manage:
        context["signing_secret"] = _signing_secret(webhook)
        rotated = new_secrets.pop(request, Webhook.objects.present().filter(account=account_id, pk=webhook_id))
        if rotated:
            context |= {"new_secret_webhook": rotated[0], "return_to": new_secrets.return_to(request)}
    return render(request, "webhooks/webhook_detail.html", context)


@login_required
@require_safe
def webhook_live(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Return the parts of the page that change by themselves; nothing where they are as the page has them."""
    membership = get_membership(request.user, account_id)
    webhook = _get_webhook(account_id, webhook_id)
    parts = _changing_parts(webhook, request.GET)
    if request.GET.get("known") == parts["fingerprint"]:
        return HttpResponse(status=204)
    newest = key_in(request.GET, "newest")
    new = [delivery for delivery in parts["page"].deliveries if newest is None or delivery.pk > newest]
    context = tab_context(membership) | parts
    context |= {
        "new_count": len(new),
        "more_are_new": len(new) == PAGE,
        "state_is_new": request.GET.get("state_was") != parts["state"],
    }
    return render(request, "webhooks/webhook_live.html", context)


def _get_webhook(account_id: UUID, webhook_id: UUID) -> Webhook:
    """Return the webhook, also where it was removed: its history can still be read."""
    webhooks = Webhook.objects.without_secrets().select_related("disabled_by", "removed_by")
    return get_object_or_404(webhooks, account=account_id, pk=webhook_id)


def _changing_parts(webhook: Webhook, query: QueryDict) -> dict[str, Any]:
    """Return what changes by itself: how the webhook stands, and the deliveries that the query asks for."""
    form = DeliveryFilter(query)
    before, after = key_in(query, "before"), key_in(query, "after")
    page = find(webhook, form.criteria(), before=before, after=after)
    state = standing_of(webhook, timezone.now())
    # What the parts of the page that change by themselves show.
    shown = [
        state,
        webhook.version,
        webhook.consecutive_failures,
        webhook.failing_since,
        webhook.cooling_until,
        *((delivery.pk, delivery.status, delivery.attempt_count) for delivery in page.deliveries),
    ]
    return {
        "webhook": webhook,
        "detail_url": reverse("webhooks:webhook_detail", args=[webhook.account_id, webhook.pk]),
        "state": state,
        "page": page,
        "filtered": form.has_changed(),
        "filters": _filters(query),
        # Older pages stay as they are; the newest one goes on.
        "is_newest": page.newer is None,
        "fingerprint": hashlib.sha256(repr(shown).encode()).hexdigest()[:16],
    }


def _periods(webhook: Webhook) -> list[dict[str, Any]]:
    day, week, month = figures.last_day_week_and_month(webhook)
    last_delivery = webhook.deliveries.order_by("-pk").first()
    return [
        {"title": title, "unit": unit, "count": count, "figures": counted, "follow": counted.follow(last_delivery)}
        for title, unit, count, counted in (
            (_("Last 24 hours"), "hour", 24, day),
            (_("Last 7 days"), "day", 7, week),
            (_("Last 30 days"), "day", 30, month),
        )
    ]


def _filters(query: QueryDict) -> str:
    """Return the filters as they stand in the URL, without the place in the list."""
    filters = QueryDict(mutable=True)
    for name in DeliveryFilter.base_fields:
        if value := query.get(name):
            filters[name] = value
    return filters.urlencode()


def _signing_secret(webhook: Webhook) -> SigningSecret:
    try:
        secret = Webhook.objects.values_list("secret", flat=True).get(pk=webhook.pk)
    except ImproperlyConfigured:
        secret = None
    valid_until = webhook.previous_secret_expires_at
    overlaps = valid_until is not None and valid_until > timezone.now()
    return SigningSecret(secret[-4:] if secret else None, valid_until if overlaps else None)
