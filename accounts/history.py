"""The change history of an account as a page: narrowed by filters, newest first, read a page at a time by key."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.audit import KINDS, KINDS_WITHOUT_ACCOUNT, AuditEntry, Door, actions_of
from accounts.models import Account, Role
from webhooks.templatetags.times import exact_time
from winkhooks.time_fields import DayField
from winkhooks.uuid7 import first_uuid7_at

PAGE_SIZE = 50
FIELDS: dict[str, "Promise | str"] = {
    "name": _("Name"),
    "url": _("URL"),
    "event_types": _("Events"),
    "rate_limit": _("Requests per second, at most"),
    "role": _("Role"),
    "previous_secret_valid_until": _("Previous secret valid until"),
    "event": _("Event"),
    "kind": _("What to send"),
    "since": _("From"),
    "until": _("To"),
}
_SELECT = forms.Select(attrs={"class": "form-select"})


class HistoryFilter(forms.Form):
    """What to look for. All of it is optional and stands in the address of the page."""

    person = forms.ChoiceField(label=_("Person"), required=False, widget=_SELECT)
    kind = forms.ChoiceField(
        label=_("About"),
        required=False,
        widget=_SELECT,
        choices=[
            ("", _("All")),
            *((kind, label) for kind, label in KINDS.items() if kind not in KINDS_WITHOUT_ACCOUNT),
        ],
    )
    webhook = forms.ChoiceField(label=_("Webhook"), required=False, widget=_SELECT)
    since = DayField(label=_("From"), required=False)
    until = DayField(label=_("To"), required=False)

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("person", _people_in(account))
        webhooks = account.webhooks.order_by("name", "pk").values_list("pk", "name")
        self._offer("webhook", [(str(pk), name) for pk, name in webhooks])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", gettext("All")), *choices]

    def narrow(self, entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Keep the entries that fit; none where the filters cannot be read."""
        if not self.is_valid():
            return entries.none()
        wanted = self.cleaned_data
        if wanted["person"]:
            entries = entries.filter(actor=wanted["person"])
        if wanted["kind"]:
            entries = entries.filter(action__in=actions_of(wanted["kind"]))
        if wanted["webhook"]:
            entries = entries.filter(webhook_id=wanted["webhook"])
        if wanted["since"]:
            entries = entries.filter(pk__gte=first_uuid7_at(_midnight(wanted["since"])))
        if wanted["until"]:
            entries = entries.filter(pk__lt=first_uuid7_at(_midnight(wanted["until"] + timedelta(days=1))))
        return entries

    @property
    def is_narrowing(self) -> bool:
        return any(self.data.get(name) for name in self.fields)


def _people_in(account: Account) -> list[tuple[str, str]]:
    """Return everybody who did something, members or not, by name; under their last name where they are gone."""
    # What nobody did has no name.
    entries = AuditEntry.objects.filter(account=account).exclude(actor_name="").order_by()
    names = entries.values_list("actor", "actor__name", "actor__email").annotate(Max("actor_name"))
    people = [(str(pk), name or email or recorded) for pk, name, email, recorded in names]
    return sorted(people, key=lambda person: person[1].casefold())


def _midnight(day: Any) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.get_current_timezone()).astimezone(UTC)


@dataclass(frozen=True)
class Change:
    """A field as it was and as it is, in words."""

    field: str
    old: str
    new: str


@dataclass(frozen=True)
class ShownEntry:
    entry: AuditEntry

    @property
    def person(self) -> str:
        """Say who it was. Of what nobody did, the column of the door says how it came."""
        return self.entry.actor_name

    @property
    def address(self) -> str:
        """Return where it came from; of staff it is not told to the members of an account."""
        return "" if self.entry.door == Door.ADMIN else self.entry.address or ""

    @property
    def changes(self) -> list[Change]:
        return [
            Change(str(FIELDS.get(field, field)), _in_words(field, old), _in_words(field, new))
            for field, (old, new) in self.entry.changes.items()
        ]


def _in_words(field: str, value: Any) -> str:
    if field == "role" and value in Role.values:
        return str(Role(value).label)
    if field == "kind":
        return {"FAILED": gettext("What failed"), "MISSED": gettext("What it never got")}.get(value, "")
    if field == "event_types" and value is not None:
        return ", ".join(value) or gettext("All events")
    if field in ("since", "until", "previous_secret_valid_until") and value:
        return exact_time(datetime.fromisoformat(value))
    return "" if value is None else str(value)
