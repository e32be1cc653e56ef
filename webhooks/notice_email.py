"""The e-mail that tells a member how a webhook is doing, in their language."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.access import may_manage_webhooks
from accounts.models import Membership
from webhooks import diagnosis, notice_link, recovery
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.readable import readable_body
from winkhooks import emails
from winkhooks.uuid7 import first_uuid7_at

LOOKED_AT_MOST = 500
# So many characters of what the receiver answered.
ANSWER_LENGTH = 300


@dataclass(frozen=True)
class Facts:
    """What the e-mails to all members tell alike; a count of more than recovery.COUNTED_MOST says no more than that."""

    attempt: Attempt | None
    waiting: int
    failed: int


def facts_of(webhook: Webhook) -> Facts:
    waiting = Delivery.objects.unfinished().filter(webhook=webhook.pk).order_by().values("pk")
    return Facts(
        attempt=last_attempt(webhook),
        waiting=waiting[: recovery.COUNTED_MOST + 1].count(),
        failed=recovery.count_failed(webhook),
    )


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


def compose(webhook: Webhook, state: str, member: Membership, facts: Facts) -> EmailMultiAlternatives:
    """Return the e-mail that tells a member of the new state; an empty one means that the webhook works again."""
    user = member.user
    stop_url = settings.PORTAL_URL + reverse("webhooks:notice_stop", args=[notice_link.token_for(member, webhook)])
    with translation.override(user.language or settings.LANGUAGE_CODE), timezone.override(UTC):
        context = _links(webhook, facts.attempt, member) | {
            "happened": _happened(webhook, state),
            "advice": _advice(state, may_manage_webhooks(member)),
            "webhook": webhook,
            "account": webhook.account,
            "attempt": facts.attempt,
            "answer": diagnosis.title_of(facts.attempt) if facts.attempt else "",
            "meaning": diagnosis.meaning_of(facts.attempt) if facts.attempt else "",
            "snippet": _snippet(facts.attempt) if facts.attempt else "",
            "waiting": _count_text(facts.waiting),
            "failed": _count_text(facts.failed),
            "stop_url": stop_url,
        }
        headers = {"List-Unsubscribe": f"<{stop_url}>"}
        if stop_url.startswith("https:"):
            # RFC 8058 has mail programs post to such addresses only.
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return emails.compose(
            "webhooks/email/notice",
            context,
            subject=_subject(webhook, state),
            to=user.email,
            message_id=_message_id(webhook, state, member),
            headers=headers,
        )


def _links(webhook: Webhook, attempt: Attempt | None, member: Membership) -> dict[str, str]:
    """Return the addresses of the pages that help; empty are those of what the member may not do or there is not."""
    ids = [webhook.account_id, webhook.pk]
    return {
        "webhook_url": settings.PORTAL_URL + reverse("webhooks:webhook_detail", args=ids),
        "recovery_url": settings.PORTAL_URL + reverse("webhooks:recovery_create", args=ids)
        if may_manage_webhooks(member)
        else "",
        "notices_url": settings.PORTAL_URL + reverse("webhooks:notice_list", args=[webhook.account_id]),
        "delivery_url": settings.PORTAL_URL + reverse("webhooks:delivery_detail", args=[*ids, attempt.delivery_id])
        if attempt
        else "",
    }


def _count_text(count: int) -> str:
    if count > recovery.COUNTED_MOST:
        return _("more than %(limit)s") % {"limit": intcomma(recovery.COUNTED_MOST)}
    return str(intcomma(count))


def _snippet(attempt: Attempt) -> str:
    """Return the beginning of what the receiver answered, in one line; nothing where it is no text."""
    content_type = next((value for name, value in attempt.response_headers if name.lower() == "content-type"), "")
    body = readable_body(bytes(attempt.response_snippet), content_type)
    text = "" if body.is_binary else " ".join(body.text.split())
    return text if len(text) <= ANSWER_LENGTH else f"{text[:ANSWER_LENGTH]}…"


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


def _advice(state: str, may_manage: bool) -> str:
    """Say what the reader can do about it; what only owners and managers may do is not asked of others."""
    match state:
        case Webhook.NotifiedState.FAILING:
            return _(
                "Check that the receiver runs, can be reached at this URL, and answers each request with a 2xx status "
                "in time. Most deliveries that fail are tried again, ten times in all over almost four days. A webhook "
                "that keeps failing for 5 days is disabled."
            )
        case Webhook.NotifiedState.DISABLED if not may_manage:
            return _(
                "No more events are sent to it, and those that waited were cancelled. Once the receiver is put right, "
                "an owner or a manager of the account can enable the webhook again, and send what it missed."
            )
        case Webhook.NotifiedState.DISABLED:
            return _(
                "No more events are sent to it, and those that waited were cancelled. To use it again, put the "
                "receiver right; then choose Actions and Enable for the webhook. What it missed until then can be sent "
                "afterwards, with Recovery."
            )
        case _state if not may_manage:
            return _(
                "What was given up meanwhile is not sent again by itself; an owner or a manager of the account "
                "can send it."
            )
        case _state:
            return _("What was given up meanwhile is not sent again by itself; send it with Recovery.")


def _moment(moment: datetime | None) -> str:
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT") if moment else ""


def _message_id(webhook: Webhook, state: str, member: Membership) -> str:
    """Return the same id for the same change."""
    match state:
        case Webhook.NotifiedState.FAILING:
            since = webhook.failing_since
        case Webhook.NotifiedState.DISABLED:
            since = webhook.disabled_at
        case _state:
            since = webhook.notified_at
    change = f"{(state or 'works').lower()}.{int(since.timestamp()) if since else 0}"
    return f"{webhook.pk.hex}.{change}.{member.user_id.hex}"
