"""The e-mail that invites somebody into an account."""

from datetime import UTC
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Invitation, User


def compose(invitation: Invitation, token: str) -> EmailMultiAlternatives:
    """Return the e-mail with the link: in the language of a user of the address, otherwise in that of the inviter."""
    with translation.override(_language(invitation)), timezone.override(UTC):
        # A line break in a name would be one in the header.
        subject = " ".join(_subject(invitation).split())
        context = {
            "language": translation.get_language(),
            "subject": subject,
            "invited": _invited(invitation),
            "invitation": invitation,
            "accept_url": settings.PORTAL_URL + reverse("accounts:invitation_accept", args=[token]),
        }
        email = EmailMultiAlternatives(
            subject,
            render_to_string("accounts/email/invitation.txt", context),
            to=[invitation.email],
            headers={
                "Message-ID": _message_id(invitation),
                # Answering machines leave it alone.
                "Auto-Submitted": "auto-generated",
            },
        )
        email.attach_alternative(render_to_string("accounts/email/invitation.html", context), "text/html")
    return email


def _language(invitation: Invitation) -> str:
    user = User.objects.with_email(invitation.email).first()
    return user.language if user and user.language else invitation.language


def _subject(invitation: Invitation) -> str:
    inviter = invitation.invited_by
    text = _("%(inviter)s invites you to %(account)s") if inviter else _("You are invited to %(account)s")
    return text % {"inviter": inviter and inviter.get_full_name(), "account": _account(invitation)}


def _invited(invitation: Invitation) -> str:
    inviter = invitation.invited_by
    if inviter and inviter.name:
        text = _("%(inviter)s (%(email)s) invites you to %(account)s, an account in the webhook portal of Wink.")
    elif inviter:
        text = _("%(email)s invites you to %(account)s, an account in the webhook portal of Wink.")
    else:
        text = _("You are invited to %(account)s, an account in the webhook portal of Wink.")
    return text % {
        "inviter": inviter and inviter.name,
        "email": inviter and inviter.email,
        "account": _account(invitation),
    }


def _account(invitation: Invitation) -> str:
    return invitation.account.name.strip() or _("Unnamed account")


def _message_id(invitation: Invitation) -> str:
    """Return the same id for the same link, so that a mail program can tell a second copy."""
    sending = int(invitation.expires_at.timestamp())
    return f"<{invitation.pk.hex}.invitation.{sending}@{urlsplit(settings.PORTAL_URL).hostname}>"
