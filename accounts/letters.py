"""The e-mails about signing in: links to reset a password or to confirm an address, and word of what was changed.

A request writes each as a row, and a worker sends it. So an answer takes as long for an address that nobody here has
as for another one, and does not fail with the mail server. What cannot be sent for `KEEP_FOR` is dropped: whoever
waited for its link has asked for another one, or the news is old.
"""

from datetime import timedelta
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation

from accounts import outbox
from accounts.models import Letter, User
from winkhooks import broker, emails

RETRY_AFTER = timedelta(minutes=1)
KEEP_FOR = timedelta(hours=6)


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
    transaction.on_commit(_have_sent, robust=True)
    return letter


def _have_sent() -> None:
    """Tell a worker that there is a letter to send; where the broker does not answer, beat does so within a minute."""
    broker.send("accounts.tasks.send_letters", expires=outbox.MESSAGE_SECONDS)


def send_next() -> bool:
    """Send the letter that has waited longest; return False where none waits, or the mail server failed."""
    Letter.objects.filter(created_at__lt=timezone.now() - KEEP_FOR).delete()
    return outbox.send_first(
        # A text that cannot be decrypted says so when it is read, which is once the lease is taken.
        Letter.objects.defer("text"),
        compose,
        retry_after=RETRY_AFTER,
        sent=lambda leased, now: leased.delete(),
        refused=lambda leased: leased.delete(),
    )


def compose(letter: Letter) -> EmailMultiAlternatives:
    with translation.override(letter.language):
        return emails.compose(
            "accounts/email/letter",
            {"letter": letter},
            subject=letter.subject,
            to=letter.to,
            message_id=f"{letter.pk.hex}.letter",
        )
