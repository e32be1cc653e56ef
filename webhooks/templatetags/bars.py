from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils import timezone
from django.utils.formats import date_format, localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from webhooks.figures import Bar, Figures

register = template.Library()

# The measures of the drawing, in whole units, since a fraction would be written with a comma in Finnish. The page
# stretches it to its place.
WIDTH, GAP = 100, 30
HEIGHT, LEAST = 480, 16


@register.inclusion_tag("webhooks/bars.html")
def bars(figures: Figures, label: str, unit: str) -> dict[str, Any]:
    """Draw the attempts by `unit`, "hour" or "day"."""
    above = max(bar.succeeded for bar in figures.bars)
    below = max(bar.unsuccessful for bar in figures.bars)
    # Room for the least height on either side.
    scale = (HEIGHT - 2 * LEAST) / max(above + below, 1)
    line = round(above * scale) + LEAST
    return {
        "drawn": [_draw(bar, unit, number * WIDTH, line, scale) for number, bar in enumerate(figures.bars)],
        "height": HEIGHT + LEAST,
        "label": f"{label} {_counts(figures)}",
        "line": line,
        "width": len(figures.bars) * WIDTH - GAP,
    }


def _counts(counted: Bar | Figures) -> str:
    return gettext("Succeeded: %(succeeded)s. Failed and tried again: %(failed)s. Given up: %(died)s.") % {
        "succeeded": intcomma(counted.succeeded),
        "failed": intcomma(counted.failed),
        "died": intcomma(counted.died),
    }


def _title(bar: Bar, unit: str) -> str:
    """Write it here: a list has hundreds of bars, and a template takes several times as long."""
    form = "DATETIME_FORMAT" if unit == "hour" else "DATE_FORMAT"
    return f"{date_format(timezone.localtime(bar.start), form)}. {_counts(bar)}"


def _draw(bar: Bar, unit: str, x: int, line: int, scale: float) -> SafeString:
    """What succeeded stands on the line and what did not hangs below it, so that no colour is needed to tell them."""
    succeeded, failed, died = (
        max(round(count * scale), LEAST) if count else 0 for count in (bar.succeeded, bar.failed, bar.died)
    )
    drawn = (
        _rectangle("slot", x, 0, WIDTH, HEIGHT + LEAST)
        + _rectangle("succeeded", x, line - succeeded, WIDTH - GAP, succeeded)
        + _rectangle("died", x, line, WIDTH - GAP, died)
        + _rectangle("failed", x, line + died, WIDTH - GAP, failed)
    )
    return format_html(f"<g><title>{{}}</title>{drawn}</g>", _title(bar, unit))


def _rectangle(name: str, x: int, y: int, width: int, height: int) -> str:
    return f'<rect class="bar-{name}" x="{x}" y="{y}" width="{width}" height="{height}"></rect>' if height else ""


@register.filter
def milliseconds(value: int | None) -> str:
    """Write a bound of response times: `at most 200 ms`."""
    if value is None:
        return gettext("more than 10 s")
    if value < 1000:
        return gettext("at most %(count)s ms") % {"count": value}
    return gettext("at most %(count)s s") % {"count": localize(value / 1000 if value % 1000 else value // 1000)}
