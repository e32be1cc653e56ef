"""Sending the e-mails that wait as rows with `send_after`: one at a time, which one worker has to itself for `LEASE`.

A row is settled once the mail server has taken its e-mail, so that it goes out at least once: a second copy comes only
where a worker ends in between.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from smtplib import SMTPException, SMTPRecipientsRefused
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.db.models import QuerySet
from django.utils import timezone

logger = structlog.get_logger(__name__)

SEND_SECONDS = 60
LEASE = timedelta(seconds=SEND_SECONDS + 60)
"""Longer than it can take until the e-mail has gone out or failed."""
MESSAGE_SECONDS = 300
"""How long the message to the worker that shall send may wait in the queue."""


def send_first(
    waiting: QuerySet[Any],
    compose: Callable[[Any], EmailMultiAlternatives],
    *,
    retry_after: timedelta,
    sent: Callable[[QuerySet[Any], datetime], object],
    refused: Callable[[QuerySet[Any]], object],
) -> bool:
    """Send the row that has waited longest; return False where none waits, or the mail server failed.

    `sent` and `refused` settle the row, which they get as a query: refused means that its address is so for good.
    """
    now = timezone.now()
    row = waiting.filter(send_after__lte=now).order_by("send_after", "pk").first()
    if row is None:
        return False
    rows = row._meta.default_manager.filter(pk=row.pk)
    leased_until = now + LEASE
    if not rows.filter(send_after=row.send_after).update(send_after=leased_until):
        # Another worker was faster.
        return True
    # Whoever has it sent again meanwhile, or withdraws it, puts something else in its place.
    leased = rows.filter(send_after=leased_until)
    named = {str(row._meta.model_name): str(row.pk)}
    try:
        compose(row).send()
    except SMTPRecipientsRefused as error:
        # It is this address that fails; the others have their turn.
        for_good = all(code >= 500 for code, _answer in error.recipients.values())
        logger.warning("recipient_refused", for_good=for_good, **named)
        if for_good:
            refused(leased)
        else:
            leased.update(send_after=now + retry_after)
    except ImproperlyConfigured as error:
        # The key of its text is missing, and may come back.
        logger.error("mail_unreadable", error=str(error), **named)
        leased.update(send_after=now + retry_after)
    except (SMTPException, OSError, SoftTimeLimitExceeded) as error:
        logger.warning("mail_failed", error=repr(error), **named)
        leased.update(send_after=now + retry_after)
        return False
    else:
        sent(leased, now)
    return True
