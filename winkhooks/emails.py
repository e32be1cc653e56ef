"""What e-mails of the portal have in common."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation


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
