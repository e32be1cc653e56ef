"""The e-mail that tells an owner or manager how a webhook is doing, in their language."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import User
from webhooks.models import Attempt, Webhook
from winkhooks.uuid7 import first_uuid7_at

LOOKED_AT_MOST = 500


def last_attempt(webhook: Webhook) -> Attempt | None:
    """Return the last attempt, among the newest deliveries and those with which it began to fail.

    Where many wait, the newest ones have not been tried, and those that were are the oldest.
    """
    deliveries = list(webhook.deliveries.order_by("-pk").values_list("pk", flat=True)[:LOOKED_AT_MOST])
    if webhook.failing_since:
        first = first_uuid7_at(webhook.failing_since - timedelta(seconds=settings.WEBHOOK_LEASE_SECONDS))
        since = webhook.deliveries.filter(pk__gte=first).order_by("pk")
        deliveries += since.values_list("pk", flat=True)[:LOOKED_AT_MOST]
    return Attempt.objects.filter(delivery__in=deliveries).order_by("-started_at").first()


def compose(webhook: Webhook, state: str, user: User, attempt: Attempt | None) -> EmailMultiAlternatives:
    """Return the e-mail that tells `user` of the new state; an empty one means that the webhook works again."""
    with translation.override(user.language or settings.LANGUAGE_CODE), timezone.override(UTC):
        # A line break in the name would be one in the header.
        subject = " ".join(_subject(webhook, state).split())
        context = {
            "language": translation.get_language(),
            "subject": subject,
            "happened": _happened(webhook, state),
            "advice": _advice(state),
            "webhook": webhook,
            "account": webhook.account,
            "attempt": attempt,
            "answer": _answer(attempt) if attempt else "",
            "list_url": settings.PORTAL_URL + reverse("webhooks:webhook_list", args=[webhook.account_id]),
        }
        email = EmailMultiAlternatives(
            subject,
            render_to_string("webhooks/email/notice.txt", context),
            to=[user.email],
            headers={
                "Message-ID": _message_id(webhook, state, user),
                # Answering machines leave it alone.
                "Auto-Submitted": "auto-generated",
            },
        )
        email.attach_alternative(render_to_string("webhooks/email/notice.html", context), "text/html")
    return email


def _subject(webhook: Webhook, state: str) -> str:
    match state:
        case Webhook.NotifiedState.FAILING:
            text = _("Webhook “%(name)s” is failing")
        case Webhook.NotifiedState.DISABLED:
            text = _("Webhook “%(name)s” was disabled")
        case _state:
            text = _("Webhook “%(name)s” works again")
    return text % {"name": webhook.name}


def _happened(webhook: Webhook, state: str) -> str:
    match state:
        case Webhook.NotifiedState.FAILING:
            text = _(
                "“%(name)s”, a webhook of %(account)s, has been failing since %(failing_since)s UTC: "
                "no delivery has succeeded since then."
            )
        case Webhook.NotifiedState.DISABLED if webhook.disabled_reason == Webhook.DisabledReason.GONE:
            text = _(
                "“%(name)s”, a webhook of %(account)s, was disabled on %(disabled_at)s UTC: "
                "its receiver answered 410 Gone, which says that it wants no more events."
            )
        case Webhook.NotifiedState.DISABLED:
            text = _(
                "“%(name)s”, a webhook of %(account)s, was disabled on %(disabled_at)s UTC: "
                "it had been failing since %(failing_since)s UTC, without one success."
            )
        case _state:
            text = _("“%(name)s”, a webhook of %(account)s, works again: a delivery to it has succeeded.")
    return text % {
        "name": webhook.name,
        "account": webhook.account.name,
        "failing_since": _moment(webhook.failing_since),
        "disabled_at": _moment(webhook.disabled_at),
    }


def _advice(state: str) -> str:
    match state:
        case Webhook.NotifiedState.FAILING:
            return _(
                "Check that the receiver runs, can be reached at this URL, and answers each request with a 2xx status "
                "in time. Most deliveries that fail are tried again, ten times in all over almost four days. A webhook "
                "that keeps failing for 5 days is disabled."
            )
        case Webhook.NotifiedState.DISABLED:
            return _(
                "No more events are sent to it, and those that waited were cancelled. To use it again, put the "
                "receiver right; then choose Actions and Update for the webhook, switch Enable on, and choose Save. "
                "Events that happen until then are not sent later."
            )
        case _state:
            return _(
                "There is nothing left to do. Events that were given up meanwhile are not sent again by themselves."
            )


def _moment(moment: datetime | None) -> str:
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT") if moment else ""


def _answer(attempt: Attempt) -> str:
    """Return what came back: `404 Not Found`, or in words what went wrong."""
    if attempt.http_status is None:
        return attempt.get_error_display()
    try:
        return f"{attempt.http_status} {HTTPStatus(attempt.http_status).phrase}"
    except ValueError:
        return str(attempt.http_status)


def _message_id(webhook: Webhook, state: str, user: User) -> str:
    """Return the same id for the same change, so that a mail program can tell a second copy."""
    match state:
        case Webhook.NotifiedState.FAILING:
            since = webhook.failing_since
        case Webhook.NotifiedState.DISABLED:
            since = webhook.disabled_at
        case _state:
            since = webhook.notified_at
    change = f"{(state or 'works').lower()}.{int(since.timestamp()) if since else 0}"
    return f"<{webhook.pk.hex}.{change}.{user.pk.hex}@{urlsplit(settings.PORTAL_URL).hostname}>"
