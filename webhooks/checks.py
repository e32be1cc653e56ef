"""System checks of the webhook settings."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

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


@register
def check_emails_reach_people(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG or settings.EMAIL_URL:
        return []
    return [
        CheckWarning(
            "EMAIL_URL is not set: e-mails, invitations among them, are only written to the output of the worker.",
            hint="Set it to the mail server, or to consolemail:// where that is wanted.",
            id="webhooks.W001",
        )
    ]


@register
def check_links_in_emails_lead_here(**kwargs: Any) -> list[CheckMessage]:
    local = urlsplit(settings.PORTAL_URL).hostname in ("localhost", "127.0.0.1", "::1")
    if settings.DEBUG or not settings.EMAIL_URL.startswith("smtp") or not local:
        return []
    return [
        CheckWarning(
            "PORTAL_URL names this machine: the links in e-mails lead their readers to their own.",
            hint="Set it to the address under which people reach the portal.",
            id="webhooks.W002",
        )
    ]
