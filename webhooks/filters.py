"""What lists are narrowed to. It stands in the URL, so that it can be kept and sent to somebody."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from webhooks.delivery_search import Criteria
from webhooks.models import Delivery, EventType
from webhooks.models.event_type import in_groups
from webhooks.standing import LISTED_STANDINGS
from winkhooks.time_fields import MomentField

_SELECT = forms.Select(attrs={"class": "form-select"})
MINUTE = timedelta(minutes=1)


class WebhookFilter(forms.Form):
    q = forms.CharField(
        label=_("Name or URL"),
        required=False,
        widget=forms.TextInput(attrs={"class": "form-control", "type": "search", "autocomplete": "off"}),
    )
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[("", _("All")), *((state.value, state.label) for state in LISTED_STANDINGS)],
        widget=_SELECT,
    )


def event_type_choices() -> Iterable[Any]:
    """Return all event types by group, each with its name and its key, in the language of the page."""
    event_types = EventType.objects.only("key", "group", "group_fi", "title", "title_fi")
    groups = [
        (group, [(event_type.key, f"{event_type.localized_title} · {event_type.key}") for event_type in members])
        for group, members in in_groups(event_types)
    ]
    return [("", _("All")), *groups]


class DeliveryFilter(forms.Form):
    status = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("All")), *Delivery.Status.choices], widget=_SELECT
    )
    type = forms.ChoiceField(label=_("Event"), required=False, choices=event_type_choices, widget=_SELECT)
    since = MomentField(label=_("Created from"), required=False)
    until = MomentField(label=_("Created until"), required=False)
    event = forms.UUIDField(
        label=_("Event id"),
        required=False,
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", "spellcheck": "false"}),
        error_messages={
            "invalid": _("Enter the whole id of an event, as the body and the headers of a request have it.")
        },
    )

    def criteria(self) -> Criteria:
        """Return what is asked for; a field that is wrong asks for nothing."""
        self.full_clean()
        asked = self.cleaned_data
        until = asked.get("until")
        return Criteria(
            status=asked.get("status", ""),
            event_type=asked.get("type", ""),
            since=asked.get("since"),
            # To the end of that minute.
            until=until + MINUTE if until else None,
            event_id=asked.get("event"),
        )
