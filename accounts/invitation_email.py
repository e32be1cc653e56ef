"""The e-mail that invites somebody into an account."""

from datetime import UTC

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Invitation, User
from winkhooks import emails


def compose(invitation: Invitation, token: str) -> EmailMultiAlternatives:
    """Return the e-mail with the link: in the language of a user of the address, otherwise in that of the inviter."""
    with translation.override(_language(invitation)), timezone.override(UTC):
        return emails.compose(
            "accounts/email/invitation",
            {
                "invited": _invited(invitation),
                "invitation": invitation,
                "accept_url": settings.PORTAL_URL + reverse("accounts:invitation_accept", args=[token]),
            },
            subject=_subject(invitation),
            to=invitation.email,
            message_id=_message_id(invitation),
        )


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
    """Return the same id for the same link."""
    return f"{invitation.pk.hex}.invitation.{int(invitation.expires_at.timestamp())}"
