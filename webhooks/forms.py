import json
import uuid
from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import MaxLengthValidator
from django.db.models import Q, QuerySet
from django.forms.models import ModelChoiceIterator
from django.http import QueryDict
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.access import writable_accounts
from accounts.models import User
from webhooks.events import UnknownEventType, resolve_type
from webhooks.models import EventType, Webhook
from webhooks.models.event_type import TEST_TYPE, in_groups
from webhooks.models.webhook import MOST_REQUESTS_PER_SECOND
from webhooks.webhook_url import clean_webhook_url


class EventChooser(forms.CheckboxSelectMultiple):
    """Checkboxes in groups; a script adds a search and a checkbox for each whole group."""

    template_name = "webhooks/event_chooser.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["groups"] = [
            {"name": group, "options": options, "chosen": sum(option["selected"] for option in options)}
            for group, options, _index in context["widget"]["optgroups"]
        ]
        # For zero, one and more: the script puts the number in. The languages of the portal have no other plurals.
        context["widget"]["texts"] = {
            "chosen": json.dumps(
                [gettext("No event chosen.")]
                + [ngettext("%(count)s event chosen.", "%(count)s events chosen.", count) for count in (1, 2)]
            ),
            "found": json.dumps(
                [gettext("No event fits the search.")]
                + [
                    ngettext("%(count)s event fits the search.", "%(count)s events fit the search.", count)
                    for count in (1, 2)
                ]
            ),
        }
        return context


class EventTypeIterator(ModelChoiceIterator):  # type: ignore[type-arg]
    """The choices by group, in the language of the page."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for group, event_types in in_groups(self.queryset):
            yield group, [self.choice(event_type) for event_type in event_types]


class EventTypesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
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
        prepared = super().prepare_value(value)
        return [_key_of(name) for name in prepared] if isinstance(prepared, list) else prepared


def _key_of(name: str) -> str:
    try:
        return resolve_type(name)
    except UnknownEventType:
        return name


def choosable_event_types(webhook: Webhook) -> QuerySet[EventType]:
    """Return what the platform delivers, and what the webhook has even if that is not delivered any more.

    Without the latter a webhook of that event alone would be saved with none, which means all.
    """
    choosable = Q(delivered=True)
    if not webhook._state.adding:
        choosable |= Q(pk__in=webhook.event_types.values("pk"))
    return EventType.objects.filter(choosable).only("key", "group", "group_fi", "title", "title_fi")


def testable_event_types(webhook: Webhook) -> QuerySet[EventType]:
    """Return what a webhook may be tested with: what it gets, and the type of test events."""
    chosen = Q(pk__in=webhook.event_types.values("pk")) if webhook.event_types.exists() else Q(delivered=True)
    return EventType.objects.filter(chosen | Q(pk=TEST_TYPE))


def _why_untestable(key: str) -> str:
    """Say why a webhook cannot be tested with a type that is not among its `testable_event_types`."""
    named = EventType.objects.filter(pk=key).only("delivered").first()
    if named is None:
        return gettext("There is no event “%(value)s” to choose.") % {"value": key}
    if not named.delivered:
        return gettext("Webhooks do not get “%(key)s” yet, so it cannot be tested.") % {"key": key}
    return gettext("This webhook does not get “%(key)s”. To test it, choose it in the webhook first.") % {"key": key}


_STALE_PAGE = _("This page is out of date. Load it again.")


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    """The five fields of a webhook."""

    url = forms.CharField(
        label=_("Webhook URL"),
        # No maxlength: a browser would cut what is pasted, without a word.
        widget=forms.URLInput(
            attrs={
                "class": "form-control",
                "placeholder": "https://my.system.com/webhook/wink",
                "autocomplete": "off",
                "spellcheck": "false",
            }
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
            "enabled": _(
                "A disabled webhook gets no events; those that happen meanwhile can be sent afterwards, with Recovery."
            ),
            "account": _("The account whose events are sent."),
            "event_types": _("None chosen = all events, with those that are added to the platform later."),
        }
        widgets = {
            "name": forms.TextInput(
                attrs={"class": "form-control", "placeholder": "Wink Stalker", "autocomplete": "off"}
            ),
            "enabled": forms.CheckboxInput(attrs={"class": "form-check-input", "role": "switch"}),
            "account": forms.Select(attrs={"class": "form-select"}),
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
        account_field = self.fields["account"]
        assert isinstance(account_field, forms.ModelChoiceField)
        account_field.queryset = writable_accounts(user)
        account_field.empty_label = None
        event_types_field = self.fields["event_types"]
        assert isinstance(event_types_field, EventTypesField)
        event_types_field.queryset = choosable_event_types(self.instance)

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        # Even where a URL has become one to refuse, its webhook can be renamed and disabled.
        return url if url == self.initial.get("url") else clean_webhook_url(url)


_RATE_LIMIT = _("Enter a whole number from 1 to 1000, or nothing.")


class WebhookUpdateForm(WebhookForm):
    """The fields of a webhook that is there already, and its limit of requests; its account stays."""

    rate_limit = forms.IntegerField(
        label=_("Requests per second, at most"),
        required=False,
        min_value=1,
        max_value=MOST_REQUESTS_PER_SECOND,
        widget=forms.NumberInput(attrs={"class": "form-control", "autocomplete": "off"}),
        help_text=_("What is over the limit waits, and uses up no attempt. Empty: no limit."),
        error_messages=dict.fromkeys(["invalid", "min_value", "max_value"], _RATE_LIMIT),
    )
    version = forms.IntegerField(
        widget=forms.HiddenInput, error_messages={"required": _STALE_PAGE, "invalid": _STALE_PAGE}
    )

    class Meta(WebhookForm.Meta):
        fields = [*WebhookForm.Meta.fields, "rate_limit"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].disabled = True
        self.initial["version"] = self.instance.version
        self.saved_meanwhile: Webhook | None = None

    def start_from(self, webhook: Webhook) -> None:
        """Keep what was typed, but take `webhook`, which somebody else saved meanwhile, as what it changes."""
        assert isinstance(self.data, QueryDict)
        data = self.data.copy()
        data["version"] = str(webhook.version)
        self.data = data
        self.saved_meanwhile = webhook

    def saved_name(self) -> str:
        """Return the name that somebody else saved, where it differs from what was typed."""
        webhook = self.saved_meanwhile
        return webhook.name if webhook and webhook.name != self.cleaned_data["name"] else ""

    def saved_url(self) -> str:
        webhook = self.saved_meanwhile
        return webhook.url if webhook and webhook.url != self.cleaned_data["url"] else ""

    def saved_enabled(self) -> str:
        webhook = self.saved_meanwhile
        if not webhook or webhook.enabled == self.cleaned_data["enabled"]:
            return ""
        return gettext("Enabled") if webhook.enabled else gettext("Disabled")

    def saved_event_types(self) -> str:
        if not self.saved_meanwhile:
            return ""
        saved = sorted(event_type.key for event_type in self.saved_meanwhile.event_types.all())
        if saved == sorted(event_type.key for event_type in self.cleaned_data["event_types"]):
            return ""
        return ", ".join(saved) or gettext("All events")

    def saved_rate_limit(self) -> str:
        webhook = self.saved_meanwhile
        if not webhook or webhook.rate_limit == self.cleaned_data["rate_limit"]:
            return ""
        return gettext("No limit") if webhook.rate_limit is None else str(webhook.rate_limit)


# Somewhat more than an envelope can have, for bodies that were written in another way since.
MAX_CHECKED_BODY_BYTES = 300 * 1024
MAX_CHECKED_HEADERS = 64 * 1024


class WebhookChoiceField(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Webhook) -> str:
        return f"{obj.name} · {obj.account}"


class SignatureCheckForm(forms.Form):
    """A request whose signatures are to be checked, and the secret to check them with. It keeps nothing."""

    webhook = WebhookChoiceField(
        queryset=Webhook.objects.none(),
        label=_("Webhook"),
        required=False,
        empty_label=_("None: I paste a secret"),
        widget=forms.Select(attrs={"class": "form-select"}),
        help_text=_("The request is checked with its secret."),
        error_messages={"invalid_choice": _("Choose one of the webhooks in the list.")},
    )
    secret = forms.CharField(
        label=_("Signing secret"),
        required=False,
        widget=forms.PasswordInput(
            attrs={"class": "form-control", "placeholder": "whsec_…", "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=_("As your receiver has it. It is not kept: paste it again for each check."),
    )
    headers = forms.CharField(
        label=_("Headers"),
        widget=forms.Textarea(
            attrs={"class": "form-control pasted", "rows": 7, "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=_("All of them or those that matter, as lines out of a log or as JSON."),
        validators=[
            MaxLengthValidator(MAX_CHECKED_HEADERS, _("The headers are too long: paste those of one request."))
        ],
        error_messages={"required": _("Paste the headers of the request.")},
    )
    body = forms.CharField(
        label=_("Body"),
        strip=False,
        widget=forms.Textarea(
            attrs={"class": "form-control pasted", "rows": 10, "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=_("Exactly as it arrived."),
        error_messages={"required": _("Paste the body of the request.")},
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secrets = ("", "")
        webhooks = Webhook.objects.present().without_secrets().filter(account__in=writable_accounts(user))
        if webhooks.exists():
            webhook_field = self.fields["webhook"]
            assert isinstance(webhook_field, WebhookChoiceField)
            webhook_field.queryset = webhooks.select_related("account").order_by("account__name", "name", "pk")
        else:
            del self.fields["webhook"]

    def clean_body(self) -> str:
        # Browsers send every line break as CRLF. A single LF is what programs write.
        body: str = self.cleaned_data["body"].replace("\r\n", "\n")
        size = len(body.encode())
        if size > MAX_CHECKED_BODY_BYTES:
            raise ValidationError(
                _("The body has %(size)d KB; at most %(limit)d KB can be checked."),
                params={"size": -(-size // 1024), "limit": MAX_CHECKED_BODY_BYTES // 1024},
            )
        return body

    def clean(self) -> None:
        """Find the secrets to check with: the present one, and the one before it or nothing."""
        webhook, secret = self.cleaned_data.get("webhook"), self.cleaned_data.get("secret", "")
        if webhook and secret:
            self.add_error("secret", _("Choose a webhook or paste a secret, not both."))
        elif webhook:
            try:
                self.secrets = Webhook.objects.values_list("secret", "previous_secret").get(pk=webhook.pk)
            except ImproperlyConfigured:
                self.add_error("webhook", _("The secret of this webhook cannot be read. Paste it instead."))
        elif secret:
            self.secrets = (secret, "")
        elif "webhook" not in self.errors:
            self.add_error(
                "secret",
                _("Choose a webhook, or paste its secret here.")
                if "webhook" in self.fields
                else _("Paste the secret of the webhook."),
            )


class TestedEventTypeField(forms.ModelChoiceField):  # type: ignore[type-arg]
    iterator = EventTypeIterator

    def label_from_instance(self, obj: EventType) -> str:
        return f"{obj.localized_title} · {obj.key}"


class TestEventForm(forms.Form):
    """A test event: its type, and the object of its envelope as JSON."""

    type = TestedEventTypeField(
        queryset=EventType.objects.none(),
        label=_("Event"),
        empty_label=None,
        widget=forms.Select(attrs={"class": "form-select"}),
        help_text=_("Only webhook.test tells your receiver that it is a test. Any other comes as if it had happened."),
        error_messages={
            "required": _("Choose an event."),
            "invalid_choice": _("Choose one of the events in the list."),
        },
    )
    object = forms.CharField(
        label=_("Object"),
        widget=forms.Textarea(
            attrs={"class": "form-control pasted", "rows": 14, "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=_("What the event is about, as JSON. The rest of the envelope is made when it is sent."),
        error_messages={"required": _("Enter the object, at least {}.")},
    )
    # Sent twice, as by a double click, it is one test event all the same.
    key = forms.UUIDField(widget=forms.HiddenInput, error_messages={"required": _STALE_PAGE, "invalid": _STALE_PAGE})

    why_not_shown = ""
    """Why another event than the one asked for is shown."""

    def __init__(self, *args: Any, webhook: Webhook, type: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        type_field = self.fields["type"]
        assert isinstance(type_field, TestedEventTypeField)
        types = testable_event_types(webhook)
        type_field.queryset = types.defer("schema", "example")
        if not self.is_bound:
            # No key has a NUL, and PostgreSQL can look for none.
            key = _key_of(type).replace("\0", "")
            shown = types.filter(pk=key).first() or types.get(pk=TEST_TYPE)
            self.why_not_shown = _why_untestable(key) if key and shown.key != key else ""
            self.initial = {"type": shown, "object": _pretty(shown.example_object() or {}), "key": uuid.uuid4()}

    def renew_key(self) -> None:
        """Keep what was typed, and let it be sent again as another test event."""
        assert isinstance(self.data, QueryDict)
        data = self.data.copy()
        data["key"] = str(uuid.uuid4())
        self.data = data

    def clean_object(self) -> dict[str, Any]:
        try:
            content = json.loads(self.cleaned_data["object"], parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise ValidationError(
                _("This is not JSON: line %(line)d, column %(column)d cannot be read."),
                params={"line": error.lineno, "column": error.colno},
            ) from error
        except (ValueError, RecursionError) as error:
            raise ValidationError(_("This is not JSON that every receiver can read.")) from error
        if not isinstance(content, dict):
            raise ValidationError(_("Enter a JSON object: it begins with { and ends with }."))
        return content


def _refuse_constant(name: str) -> None:
    """Refuse NaN and the infinities, which Python reads though they are not JSON."""
    raise ValueError(name)


def _pretty(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2)


class SecretRotateForm(forms.Form):
    """How long the present signing secret stays valid beside the new one."""

    overlap = forms.TypedChoiceField(
        label=_("The present secret"),
        coerce=int,
        choices=[
            (24, _("stays valid for 24 hours")),
            (7 * 24, _("stays valid for 7 days")),
            (0, _("is invalid at once: choose this where it has leaked")),
        ],
        initial=24,
        widget=forms.RadioSelect,
        help_text=_(
            "While both are valid, each request carries a signature of either, so that none is refused meanwhile."
        ),
        error_messages=dict.fromkeys(["required", "invalid_choice"], _("Choose one of the three.")),
    )
