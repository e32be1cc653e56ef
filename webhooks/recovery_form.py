from datetime import datetime, timedelta, tzinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from webhooks.models import Recovery, Webhook
from winkhooks.time_fields import MomentField
from winkhooks.time_zones import time_zone

MINUTE = timedelta(minutes=1)
# Where nothing tells since when something is wrong.
USUAL_SPAN = timedelta(days=1)


class RecoveryForm(forms.Form):
    """What is to be sent to a webhook again. A script lets its times be those of the reader's zone."""

    kind = forms.ChoiceField(
        label=_("What to send"),
        choices=[
            (
                Recovery.Kind.FAILED,
                _("What failed: deliveries that were given up, or cancelled as the webhook was disabled"),
            ),
            (Recovery.Kind.MISSED, _("What it never got: events of its types of which it has no delivery")),
        ],
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
        help_text=_("What has arrived, and what is still on its way, is in neither."),
        error_messages={
            "required": _("Choose what to send."),
            "invalid_choice": _("Choose what to send."),
        },
    )
    since = MomentField(label=_("From"))
    until = MomentField(label=_("To"))
    time_zone = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, webhook: Webhook, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = self._zone()
        self.initial = {**_span(webhook), "time_zone": timezone.get_current_timezone_name()}
        if not self.is_bound:
            for name in ("since", "until"):
                self.fields[name].widget.attrs["data-moment"] = self.initial[name].isoformat()

    def full_clean(self) -> None:
        with timezone.override(self.zone):
            super().full_clean()

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"]
        if name and self.zone is None:
            raise ValidationError(_("The time zone %(name)s is not known."), params={"name": name})
        return name

    def clean_until(self) -> datetime:
        # To the end of that minute, so that it reads the same wherever it is shown. What happens from now on is sent
        # anyway.
        until: datetime = self.cleaned_data["until"]
        return min(_minute_of(until) + MINUTE - datetime.resolution, timezone.now())

    def clean(self) -> None:
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and since >= until:
            self.add_error("since", _("Enter a time before the other one, and before now."))

    def query(self) -> str:
        """Return what leads back to this form, filled in."""
        return urlencode({name: self.data.get(name, "") for name in self.fields})

    def _zone(self) -> tzinfo | None:
        name = self.data.get("time_zone") or timezone.get_current_timezone_name()
        return time_zone(name)


def filled_in(kind: str, since: datetime, until: datetime) -> str:
    """Return the query with which the form asks for this, in the time zone of the reader."""
    span = {"since": _minute_of(since), "until": _minute_of(until)}
    moments = {name: f"{timezone.localtime(moment):%Y-%m-%dT%H:%M}" for name, moment in span.items()}
    return urlencode({"kind": kind, **moments, "time_zone": timezone.get_current_timezone_name()})


def _span(webhook: Webhook) -> dict[str, Any]:
    """Return what somebody most likely wants: what has gone wrong until now."""
    now = timezone.now()
    kind, since = Recovery.Kind.FAILED, webhook.failing_since or now - USUAL_SPAN
    if webhook.disabled_at:
        kind, since = Recovery.Kind.MISSED, webhook.disabled_at
    return {"kind": kind, "since": _minute_of(since), "until": _minute_of(now)}


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
