"""The time zones that a reader may have."""

import zoneinfo

# Read once: to list them is to walk through hundreds of files.
TIME_ZONES = frozenset(zoneinfo.available_timezones() | {"UTC"})
# Set by winkhooks.js to the time zone of the browser.
COOKIE_NAME = "winkhooks_time_zone"


def time_zone(name: str) -> zoneinfo.ZoneInfo | None:
    """Return the time zone of that name; None where there is none."""
    return zoneinfo.ZoneInfo(name) if name in TIME_ZONES else None
