import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from accounts.access import SignedInRequest
from webhooks.catalogue.fields import fields_of
from webhooks.events import UnknownEventType, envelope, resolve_type
from webhooks.models import Event, EventType
from webhooks.models.event_type import in_groups

# What stands in the envelopes of the examples.
EXAMPLE_EVENT_ID = UUID("01a20bb4-4822-7548-b41c-8ec7cf8fdd7c")
EXAMPLE_ACCOUNT_ID = UUID("019ab2a0-0000-7000-8000-00000000c001")
EXAMPLE_TIME = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@login_required
@require_safe
def event_type_list(request: SignedInRequest) -> HttpResponse:
    search = request.GET.get("q", "").strip()
    found = [
        event_type
        for event_type in EventType.objects.defer("schema", "example")
        if event_type.has_words(search.lower().split())
    ]
    context = {"search": search, "found_count": len(found), "groups": in_groups(found)}
    return render(request, "webhooks/event_type_list.html", context)


@login_required
@require_safe
def event_type_detail(request: SignedInRequest, key: str) -> HttpResponse:
    try:
        known_key = resolve_type(key)
    except UnknownEventType:
        raise Http404 from None
    if known_key != key:
        return redirect("webhooks:event_type_detail", known_key)
    event_type = get_object_or_404(EventType, pk=key)
    context: dict[str, Any] = {
        "event_type": event_type,
        "roles": [Event.RecipientRole(role).label for role in event_type.roles],
    }
    if (example := event_type.example_object()) is not None:
        context["example"] = pretty_json(json.loads(example_envelope(event_type, example)))
    if event_type.schema is not None:
        context["schema"] = pretty_json(event_type.schema)
        context["fields"] = fields_of(event_type.schema, get_language() or "en")
    return render(request, "webhooks/event_type_detail.html", context)


def example_envelope(event_type: EventType, example: dict[str, Any]) -> bytes:
    """Return an envelope as a receiver gets it, made by what makes the real ones."""
    event = Event(
        id=EXAMPLE_EVENT_ID,
        type=event_type,
        account_id=EXAMPLE_ACCOUNT_ID,
        occurred_at=EXAMPLE_TIME,
        recipient_role=event_type.roles[0] if event_type.roles else Event.RecipientRole.SELF,
    )
    return envelope(event, example)


def pretty_json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2)
