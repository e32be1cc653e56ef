"""The e-mails about signing in: links to reset a password or to confirm an address, and word of what was changed.

A request writes each as a row, and a worker sends it. So an answer takes as long for an address that nobody here has
as for another one, and does not fail with the mail server. What cannot be sent for `KEEP_FOR` is dropped: its link is
of no use any more, or the news is old.
"""

from datetime import timedelta
from smtplib import SMTPException, SMTPRecipientsRefused
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation

from accounts.models import Letter, User
from winkhooks import broker

logger = structlog.get_logger(__name__)

SEND_SECONDS = 60
LEASE = timedelta(seconds=SEND_SECONDS + 60)
"""Longer than it can take until the e-mail has gone out or failed."""
RETRY_AFTER = timedelta(minutes=1)
KEEP_FOR = timedelta(hours=6)
MESSAGE_SECONDS = 300
"""How long the message to the worker that shall send may wait in the queue."""


def post(template_prefix: str, to: str, context: dict[str, Any]) -> Letter:
    """Write the letter in the language of the user of the address, otherwise in that of the page, and have it sent."""
    user = context.get("user") or User.objects.with_email(to).first()
    language = (user and user.language) or translation.get_language() or ""
    with translation.override(language):
        words = {**context, "email": to}
        letter = Letter.objects.create(
            to=to,
            language=language,
            subject=" ".join(render_to_string(f"{template_prefix}_subject.txt", words).split()),
            text=render_to_string(f"{template_prefix}_message.txt", words).strip(),
        )
    transaction.on_commit(lambda: broker.send("accounts.tasks.send_letters", expires=MESSAGE_SECONDS), robust=True)
    return letter


def send_next() -> bool:
    """Send the letter that has waited longest; return False where none waits, or the mail server failed."""
    now = timezone.now()
    Letter.objects.filter(created_at__lt=now - KEEP_FOR).delete()
    letter = Letter.objects.filter(send_after__lte=now).order_by("send_after", "pk").first()
    if letter is None:
        return False
    if not Letter.objects.filter(pk=letter.pk, send_after=letter.send_after).update(send_after=now + LEASE):
        # Another worker was faster.
        return True
    try:
        compose(letter).send()
    except SMTPRecipientsRefused as error:
        if all(code >= 500 for code, _answer in error.recipients.values()):
            logger.warning("recipient_refused", letter=str(letter.pk))
            letter.delete()
            return True
        return _failed(letter, error)
    except (SMTPException, OSError, SoftTimeLimitExceeded) as error:
        return _failed(letter, error)
    letter.delete()
    return True


def compose(letter: Letter) -> EmailMultiAlternatives:
    email = EmailMultiAlternatives(
        letter.subject,
        letter.text + "\n",
        to=[letter.to],
        # Answering machines leave it alone.
        headers={"Auto-Submitted": "auto-generated"},
    )
    email.attach_alternative(render_to_string("accounts/email/letter.html", {"letter": letter}), "text/html")
    return email


def _failed(letter: Letter, error: Exception) -> bool:
    logger.warning("mail_failed", letter=str(letter.pk), error=repr(error))
    Letter.objects.filter(pk=letter.pk).update(send_after=timezone.now() + RETRY_AFTER)
    return False
