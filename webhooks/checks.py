"""System checks of the webhook settings."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from webhooks.engine.drain import LEASE_MARGIN_SECONDS


@register
def check_lease_outlasts_requests(**kwargs: Any) -> list[CheckMessage]:
    # One time-out for the longest request, one for what waits its turn behind it.
    needed = 2 * settings.WEBHOOK_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS
    if needed <= settings.WEBHOOK_LEASE_SECONDS:
        return []
    return [
        Error(
            "WEBHOOK_LEASE_SECONDS is too short for what is claimed to be sent and answered within it.",
            hint=f"Set it to {needed:g} or more, or lower WEBHOOK_TIMEOUT_SECONDS.",
            id="webhooks.E001",
        )
    ]


@register
def check_requests_in_flight(**kwargs: Any) -> list[CheckMessage]:
    if settings.WEBHOOK_IN_FLIGHT <= 500:
        return []
    return [
        Error(
            "WEBHOOK_IN_FLIGHT is more than a worker can watch: libcurl waits with select(), which knows 1,024 files.",
            hint="Set it to 500 or less, and start more workers instead.",
            id="webhooks.E002",
        )
    ]
