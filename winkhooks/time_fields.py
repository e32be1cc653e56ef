"""Form fields for days and minutes, within the times that ids can carry."""

from datetime import date, datetime
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# Ids have no times before 1970, and times none after 9999; in another time zone both begin and end a day aside.
YEARS = range(1971, 9999)

Time = TypeVar("Time", date, datetime)


class DayField(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date", "class": "form-control"}, format="%Y-%m-%d")
    default_error_messages = {"invalid": _("Enter a date, as in 2026-11-24.")}

    def to_python(self, value: Any) -> date | None:
        return _within_years(self, super().to_python(value))


class MomentField(forms.DateTimeField):
    """A minute in the time zone of the page, or of the form where that has one of its own."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "class": "form-control"}, format="%Y-%m-%dT%H:%M")
    default_error_messages = {
        "required": _("Enter a date and a time."),
        "invalid": _("Enter a date and a time, as in 2026-11-24T09:30."),
    }

    def to_python(self, value: Any) -> datetime | None:
        return _within_years(self, super().to_python(value))


def _within_years(field: forms.Field, entered: Time | None) -> Time | None:
    if entered is not None and entered.year not in YEARS:
        raise ValidationError(field.error_messages["invalid"], code="invalid")
    return entered
