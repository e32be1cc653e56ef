"""What e-mails of the portal have in common."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends import console
from django.template.loader import render_to_string
from django.utils import translation

from webhooks.readable import visible


def compose(
    template: str,
    context: Mapping[str, Any],
    *,
    subject: str,
    to: str,
    message_id: str,
    headers: Mapping[str, str] | None = None,
) -> EmailMultiAlternatives:
    """Return an e-mail of the templates `template`.txt and .html, in the present language.

    `message_id` is the same for a second copy, so that a mail program can tell it.
    """
    # A line break in a name would be one in the header.
    subject = " ".join(subject.split())
    words = {**context, "language": translation.get_language(), "subject": subject}
    email = EmailMultiAlternatives(
        subject,
        render_to_string(f"{template}.txt", words),
        to=[to],
        headers={
            "Message-ID": f"<{message_id}@{urlsplit(settings.PORTAL_URL).hostname}>",
            # Answering machines leave it alone.
            "Auto-Submitted": "auto-generated",
            **(headers or {}),
        },
    )
    email.attach_alternative(render_to_string(f"{template}.html", words), "text/html")
    return email


class ConsoleBackend(console.EmailBackend):
    """Write e-mails to the output for people to read: Django writes them as they go out, with links cut in pieces."""

    def write_message(self, message: EmailMessage) -> None:
        to = ", ".join(message.recipients())
        # At once, since a worker makes one entry of its log of it.
        self.stream.write(f"\nTo: {to}\nSubject: {message.subject}\n\n{visible(str(message.body))}\n{'-' * 79}\n")
