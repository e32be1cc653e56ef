"""E-mails to the members who want them: a webhook is failing, was switched off, works again.

What was told last stands in the webhook. It is written once the mail server has taken the e-mails, so that a change is
told at least once: to be told of an outage twice is better than never, and a second copy comes only where a worker ends
in between. `notify_after` keeps other workers from a notice while one has it to send, and after a failure of the mail
server until it is tried again.

Notices are sent one at a time over all workers, each after the one before it has gone out. So a mail server that hangs
holds one process for a moment every few minutes, however many webhooks there is something to tell of.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from smtplib import SMTPException, SMTPRecipientsRefused
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.db.models import F, Q
from django.utils import timezone

from webhooks import notice_choices, notice_email
from webhooks.models import Delivery, Webhook
from webhooks.models.webhook import WebhookQuerySet
from winkhooks.uuid7 import first_uuid7_at

logger = structlog.get_logger(__name__)

FAILING_LEAST = timedelta(hours=1)
"""A webhook that fails for less makes no e-mail."""
MESSAGE_SECONDS = 300
"""How long the message to the worker that shall send a notice may wait in the queue."""
SEND_SECONDS = 60
LEASE = timedelta(seconds=MESSAGE_SECONDS + SEND_SECONDS + 60)
"""Longer than it can take until the notice has gone out or failed."""
RETRY_AFTER = timedelta(minutes=5)
LOOKED_AT_MOST = 20

State = Webhook.NotifiedState
WORKS = ""
"""The state of a webhook of which there was nothing to tell yet, or last that it works again."""
BY_ENGINE = (Webhook.DisabledReason.GONE, Webhook.DisabledReason.FAILING)


def claim() -> tuple[UUID, str] | None:
    """Take the next notice, for this worker to send; return the webhook and its new state.

    Return None where there is none, or another one is on its way.
    """
    now = timezone.now()
    if Webhook.objects.present().filter(notify_after__gt=now).exists():
        return None
    for webhook in _changed(now):
        state = state_to_tell(webhook, now)
        if state is None:
            continue
        claimed = _as_it_was(webhook).filter(notify_after=webhook.notify_after).update(notify_after=now + LEASE)
        if claimed:
            return webhook.pk, state
    return None


def _changed(now: datetime) -> Iterator[Webhook]:
    """Yield the webhooks of which there may be something to tell; those of which telling failed come last."""
    switched_off = Q(enabled=False, disabled_reason__in=BY_ENGINE) & ~Q(notified_state=State.DISABLED)
    failing = Q(enabled=True, failing_since__lte=now - FAILING_LEAST) & ~Q(notified_state=State.FAILING)
    working = Q(enabled=True, failing_since=None, notified_state=State.FAILING)
    webhooks = Webhook.objects.present().without_secrets()
    webhooks = webhooks.order_by(F("notify_after").asc(nulls_first=True), "pk")
    yield from webhooks.filter(switched_off | failing | working)[:LOOKED_AT_MOST]
    # Those that wait for their first success come after all others, as each costs a query.
    yield from webhooks.filter(enabled=True, failing_since=None, notified_state__in=[State.DISABLED, State.RESUMED])


def state_to_tell(webhook: Webhook, now: datetime) -> str | None:
    """Return the state that was not told yet; None where they know all there is."""
    told = webhook.notified_state
    if not webhook.enabled:
        # Whoever switched it off by hand knows it.
        return State.DISABLED if webhook.disabled_reason in BY_ENGINE and told != State.DISABLED else None
    if webhook.failing_since:
        return State.FAILING if webhook.failing_since <= now - FAILING_LEAST and told != State.FAILING else None
    if told == State.FAILING or (told and _has_succeeded_since(webhook)):
        return WORKS
    return None


def _has_succeeded_since(webhook: Webhook) -> bool:
    """Say whether a delivery that was made since somebody enabled the webhook has succeeded."""
    assert webhook.notified_at is not None
    made_since = webhook.deliveries.filter(pk__gte=first_uuid7_at(webhook.notified_at))
    # The first ones, which are tried first, however many wait behind them.
    return made_since.filter(status=Delivery.Status.SUCCEEDED).order_by("pk").first() is not None


def send(webhook_id: UUID, state: str) -> bool:
    """Send the notice that was claimed; return False where the mail server failed, so that it is tried again later."""
    now = timezone.now()
    claimed = Webhook.objects.present().filter(pk=webhook_id, notify_after__gt=now)
    webhook = claimed.select_related("account").without_secrets().first()
    if webhook is None:
        return True
    if state_to_tell(webhook, now) != state:
        # It has changed again meanwhile.
        claimed.update(notify_after=None)
        return True
    try:
        _send_emails(webhook, state)
    except (SMTPException, OSError, SoftTimeLimitExceeded) as error:
        logger.warning("mail_failed", webhook=str(webhook.pk), error=repr(error))
        claimed.update(notify_after=now + RETRY_AFTER)
        return False
    # A person who changed it meanwhile may have enabled it again: then this is not what its state is measured by.
    told = _as_it_was(webhook).filter(version=webhook.version)
    if not told.update(notified_state=state, notified_at=now, notify_after=None):
        claimed.update(notify_after=None)
    return True


def _as_it_was(webhook: Webhook) -> WebhookQuerySet:
    return Webhook.objects.present().filter(pk=webhook.pk, notified_state=webhook.notified_state)


def _send_emails(webhook: Webhook, state: str) -> None:
    """Send each who wants it an e-mail of their own; raise what the mail server failed with.

    Where it has taken some it counts as told, so that these do not get another one for every time that it fails.
    """
    members = list(notice_choices.recipients(webhook))
    if not members:
        return
    facts = notice_email.facts_of(webhook)
    taken = 0
    trouble: Exception | None = None
    try:
        with mail.get_connection() as connection:
            for member in members:
                try:
                    connection.send_messages([notice_email.compose(webhook, state, member, facts)])
                    taken += 1
                except SMTPRecipientsRefused as error:
                    logger.warning("recipient_refused", user=str(member.user_id), webhook=str(webhook.pk))
                    if any(code < 500 for code, _ in error.recipients.values()):
                        trouble = error
    except (SMTPException, OSError, SoftTimeLimitExceeded) as error:
        trouble = error
    if trouble and not taken:
        raise trouble
    if trouble:
        logger.warning("mail_incomplete", webhook=str(webhook.pk), taken=taken, error=repr(trouble))
