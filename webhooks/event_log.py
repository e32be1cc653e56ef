"""The events of an account as a list: narrowed by filters, and read a page at a time."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from webhooks.filters import event_type_choices
from webhooks.models import Event
from winkhooks import paging
from winkhooks.paging import Page
from winkhooks.time_fields import MomentField
from winkhooks.uuid7 import first_uuid7_at

PAGE_SIZE = 50
_ID = _("Event id or idempotency key")


class EventFilterForm(forms.Form):
    """What to look for among the events of an account. All of it is optional and stands in the address of the page."""

    id = forms.CharField(
        label=_ID,
        required=False,
        max_length=255,
        widget=forms.SearchInput(
            attrs={"class": "form-control", "placeholder": _ID, "autocomplete": "off", "spellcheck": "false"}
        ),
        error_messages={"max_length": _("Neither event ids nor idempotency keys are so long.")},
    )
    type = forms.ChoiceField(
        label=_("Type"),
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
        error_messages={"invalid_choice": _("There is no event “%(value)s” to choose.")},
    )
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[("", _("All")), *Event.Status.choices],
        widget=forms.Select(attrs={"class": "form-select"}),
        error_messages={"invalid_choice": _("There is no state “%(value)s”.")},
    )
    since = MomentField(label=_("Announced from"), required=False)
    until = MomentField(label=_("Announced until"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        type_field = self.fields["type"]
        assert isinstance(type_field, forms.ChoiceField)
        # Read once: they are checked, and shown.
        type_field.choices = event_type_choices()

    def narrow(self, events: QuerySet[Event]) -> QuerySet[Event]:
        """Keep the events that fit; none where the filters cannot be read."""
        if not self.is_valid():
            return events.none()
        wanted = self.cleaned_data
        if wanted["id"]:
            events = events.filter(_id_is(wanted["id"]))
        if wanted["type"]:
            events = events.filter(type=wanted["type"])
        if wanted["state"]:
            events = events.filter(status=wanted["state"])
        # The ids carry the time at which they were made, and the list is in their order.
        if wanted["since"]:
            events = events.filter(pk__gte=first_uuid7_at(wanted["since"]))
        if wanted["until"]:
            # To its end, since that is what the list shows of the time.
            events = events.filter(pk__lt=first_uuid7_at(wanted["until"] + timedelta(minutes=1)))
        return events

    @property
    def is_narrowing(self) -> bool:
        return any(self.data.get(name) for name in self.fields)


def _id_is(text: str) -> Q:
    try:
        return Q(pk=UUID(text)) | Q(idempotency_key=text)
    except ValueError:
        return Q(idempotency_key=text)


def page_of(events: QuerySet[Event], *, before: UUID | None = None, after: UUID | None = None) -> Page[Event]:
    """Return the newest of `events`, those next before an id, or those next after one."""
    return paging.page_of(events, PAGE_SIZE, before=before, after=after, read=_read)


def _read(events: QuerySet[Event]) -> list[Event]:
    """Return the events.

    The filters alone decide which, in a query that the index `event_search` answers without reading an event; with
    other columns in it, a database that thinks a filter leaves out little may read a million events to find none.
    """
    found = Event.objects.defer("body").filter(pk__in=events.values("pk"))
    return list(found.order_by(*events.query.order_by))
