from datetime import UTC, datetime

from django import template
from django.utils import dateformat, timezone
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def short_time(moment: datetime) -> SafeString:
    """Write `moment` to the minute in the reader's zone, and its exact time for who points at it."""
    return _time(moment, f"{get_format('DATETIME_FORMAT')} T")


@register.simple_tag
def exact_time(moment: datetime) -> SafeString:
    """Write `moment` to the second in the reader's zone, and for who points at it to the millisecond in UTC."""
    return _time(moment, f"{get_format('EXACT_TIME_FORMAT')} T")


@register.simple_tag
def day(moment: datetime) -> SafeString:
    """Write the day of `moment` in the reader's zone, and its exact time for who points at it."""
    return _time(moment, get_format("DATE_FORMAT"))


def _time(moment: datetime, form: str) -> SafeString:
    # Written here, since lists have dozens: an included template takes several times as long.
    local, utc = timezone.localtime(moment), moment.astimezone(UTC)
    exact = f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03} UTC"
    shown = dateformat.format(local, form)
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, shown)
