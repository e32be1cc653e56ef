"""System checks of the settings: what goes together, and what is dangerous outside DEBUG.

Each has a row in docs/operations.md.
"""

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
def check_secret_key_is_secret(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG or settings.SECRET_KEY != settings.SECRET_KEY_FOR_DEBUGGING:
        return []
    return [
        Error(
            "SECRET_KEY is the one for debugging, which everybody can read: whoever does can sign in as anybody.",
            hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
            id="webhooks.E003",
        )
    ]


@register
def check_encryption_keys_are_secret(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG or settings.WEBHOOK_SECRET_KEY_FOR_DEBUGGING not in settings.WEBHOOK_SECRET_KEYS:
        return []
    return [
        Error(
            "WEBHOOK_SECRET_KEYS has the key for debugging, which everybody can read.",
            hint="Put a key of your own in its place; secrets that it encrypted must be encrypted anew before.",
            id="webhooks.E004",
        )
    ]


@register
def check_emails_reach_people(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG or settings.EMAIL_BACKEND != "winkhooks.emails.ConsoleBackend":
        return []
    return [
        CheckWarning(
            "E-mails reach nobody: with all their links they are only written to the output of the processes.",
            hint="Set EMAIL_URL to the mail server.",
            id="webhooks.W001",
        )
    ]


@register
def check_links_in_emails_lead_here(**kwargs: Any) -> list[CheckMessage]:
    portal = urlsplit(settings.PORTAL_URL)
    if settings.DEBUG:
        return []
    if portal.hostname in ("localhost", "127.0.0.1", "::1"):
        return [
            CheckWarning(
                "PORTAL_URL names this machine: the links in e-mails lead their readers to their own.",
                hint="Set it to the address under which people reach the portal.",
                id="webhooks.W002",
            )
        ]
    if portal.scheme == "http":
        return [
            CheckWarning(
                "PORTAL_URL begins with http: who follows the links in e-mails sends passwords for all to read.",
                hint="Let a proxy end TLS in front of the portal, and set PORTAL_URL to https.",
                id="webhooks.W003",
            )
        ]
    return []


@register
def check_webhooks_are_encrypted(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG or settings.WEBHOOK_REQUIRE_HTTPS:
        return []
    return [
        CheckWarning(
            "WEBHOOK_REQUIRE_HTTPS is off: webhooks may have http URLs, to which events go for all to read.",
            hint="Set it to True.",
            id="webhooks.W004",
        )
    ]


@register
def check_guard_is_closed(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG or not settings.WEBHOOK_ALLOWED_NETWORKS:
        return []
    networks = ", ".join(str(network) for network in settings.WEBHOOK_ALLOWED_NETWORKS)
    return [
        CheckWarning(
            f"WEBHOOK_ALLOWED_NETWORKS opens {networks}: whoever makes a webhook can call what is there.",
            hint="Leave in it only networks in which nothing trusts its callers for where they are.",
            id="webhooks.W005",
        )
    ]


@register
def check_staff_has_second_factor(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG or settings.STAFF_REQUIRES_MFA:
        return []
    return [
        CheckWarning(
            "STAFF_REQUIRES_MFA is off: a password that leaks opens the administration, and with it every account.",
            hint="Set it to True.",
            id="webhooks.W006",
        )
    ]


def check_sqlite_has_one_writer(processes: int) -> list[CheckMessage]:
    """Warn where a worker of several processes uses SQLite. It alone knows how many it has, so that it asks."""
    if processes == 1 or not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return []
    return [
        CheckWarning(
            f"The database is SQLite, where one process writes at a time: the {processes} of this worker wait for "
            "each other.",
            hint="Start one worker with --concurrency 1, or set DATABASE_URL to a PostgreSQL.",
            id="webhooks.W007",
        )
    ]
