from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.forms.models import ModelChoiceIterator
from django.utils.translation import gettext_lazy as _

from accounts.access import writable_accounts
from accounts.models import Account, User
from webhooks.models import EventType, Webhook
from webhooks.webhook_url import clean_webhook_url


class EventChooser(forms.CheckboxSelectMultiple):
    """Checkboxes in groups; a script adds a search and a checkbox for each whole group."""

    template_name = "webhooks/event_chooser.html"


class EventTypeIterator(ModelChoiceIterator[EventType]):
    """The choices by group, in the language of the page."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        event_types = sorted(self.queryset, key=attrgetter("localized_group", "key"))
        for group, members in groupby(event_types, key=attrgetter("localized_group")):
            yield group, [self.choice(event_type) for event_type in members]


class EventTypesField(forms.ModelMultipleChoiceField):
    """The event types that a webhook gets; an alias counts as the key that it stands for."""

    widget = EventChooser
    iterator = EventTypeIterator
    default_error_messages = {
        "invalid_choice": _("There is no event “%(value)s” to choose."),
        "invalid_pk_value": _("There is no event “%(pk)s” to choose."),
    }

    def label_from_instance(self, obj: EventType) -> str:
        return obj.localized_title

    def prepare_value(self, value: Any) -> Any:
        value = super().prepare_value(value)
        return self._without_aliases(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return super().clean(self._without_aliases(value) if isinstance(value, list) else value)

    def _without_aliases(self, keys: list[Any]) -> list[Any]:
        with_aliases = EventType.objects.exclude(aliases=[]).values_list("key", "aliases")
        key_of = {alias: key for key, aliases in with_aliases for alias in aliases} if keys else {}
        return [key_of.get(key, key) for key in keys]


@dataclass(frozen=True)
class Newer:
    """What somebody else saved in a field while it was being edited here."""

    text: str


class WebhookForm(forms.ModelForm[Webhook]):
    """The five fields of a webhook."""

    url = forms.CharField(
        label=_("Webhook URL"),
        # No maxlength: a browser would cut what is pasted, without a word.
        widget=forms.URLInput(
            attrs={"placeholder": "https://my.system.com/webhook/wink", "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=_("Where events are sent."),
        error_messages={"required": _("Enter the URL to which events are to be sent.")},
    )

    class Meta:
        model = Webhook
        fields = ["name", "enabled", "account", "event_types", "url"]
        field_classes = {"event_types": EventTypesField}
        labels = {
            "name": _("Name"),
            "enabled": _("Enable"),
            "account": _("Entity name"),
            "event_types": _("Events"),
        }
        help_texts = {
            "enabled": _("A disabled webhook gets no events; those that happen meanwhile are not sent later."),
            "account": _("The account whose events are sent."),
            "event_types": _("None chosen = all events, with those that are added to the platform later."),
        }
        widgets = {
            "name": forms.TextInput(attrs={"placeholder": "Wink Stalker", "autocomplete": "off"}),
        }
        error_messages = {
            "name": {"required": _("Give the webhook a name.")},
            "account": {
                "required": _("Choose an account."),
                "invalid_choice": _("Choose one of the accounts in the list."),
            },
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.newer: dict[str, str] = {}
        self._account_field().queryset = writable_accounts(user)
        self._account_field().empty_label = None
        self._event_types_field().queryset = self._choosable_event_types()

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        # A webhook must be possible to disable or rename even where its URL has meanwhile become one to refuse.
        return url if url == self.initial.get("url") else clean_webhook_url(url)

    def _account_field(self) -> "forms.ModelChoiceField[Account]":
        field = self.fields["account"]
        assert isinstance(field, forms.ModelChoiceField)
        return field
