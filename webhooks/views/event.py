import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from accounts.access import SignedInRequest, get_membership
from accounts.models import Membership
from webhooks.arrival import Answer, arrivals_of
from webhooks.arrival_sentences import sentences_of
from webhooks.event_log import EventFilterForm, page_of
from webhooks.models import Event
from webhooks.views.event_type import pretty_json
from winkhooks.paging import key_in

# What a body of 256 KB has with its indentation, unless somebody means to fill the page with spaces.
MOST_PRETTY_BYTES = 2 * 1024 * 1024


@login_required
@require_safe
def event_list(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    form = EventFilterForm(request.GET)
    events = form.narrow(Event.objects.filter(account=account_id))
    page = page_of(events, before=key_in(request.GET, "before"), after=key_in(request.GET, "after"))
    if request.GET.get("id") and len(page.rows) == 1:
        return redirect("webhooks:event_detail", account_id, page.rows[0].pk)
    context = _tab_context(membership) | {"form": form, "page": page, "keep_days": settings.WEBHOOK_KEEP_DAYS}
    return render(request, "webhooks/event_list.html", context)


@login_required
@require_safe
def event_detail(request: SignedInRequest, account_id: UUID, event_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    events = Event.objects.select_related("type").defer("type__schema", "type__example")
    event = get_object_or_404(events, account=account_id, pk=event_id)
    arrivals = arrivals_of(event)
    context = _tab_context(membership) | {
        "event": event,
        "arrivals": [(arrival, sentences_of(arrival)) for arrival in arrivals],
        "delivered_count": sum(arrival.answer == Answer.DELIVERY for arrival in arrivals),
        "body": bytes(event.body).decode(errors="backslashreplace"),
        "pretty_body": _pretty(bytes(event.body)),
    }
    return render(request, "webhooks/event_detail.html", context)


def _tab_context(membership: Membership) -> dict[str, Any]:
    return {"account": membership.account, "membership": membership, "active_tab": "events"}


def _pretty(body: bytes) -> str:
    """Return the body with line breaks; "" where it cannot be read, or would be far longer so."""
    try:
        pretty = pretty_json(json.loads(body))
    except (ValueError, RecursionError):
        return ""
    return pretty if len(pretty) <= MOST_PRETTY_BYTES else ""
