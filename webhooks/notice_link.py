"""The link in an e-mail that stops further ones about the same webhook, without signing in.

Whoever reads the mail may follow it, and all it can do is stop these e-mails; their reader can have them again on the
page of notices. So it does not expire. What it is about is signed, so that none can be made up.
"""

from uuid import UUID

from django.core.signing import BadSignature, Signer

from accounts.models import Membership
from webhooks.models import Webhook

SALT = "webhooks.notice_link"


def token_for(membership: Membership, webhook: Webhook) -> str:
    return Signer(salt=SALT, sep=".").sign(f"{membership.pk.hex}-{webhook.pk.hex}")


def read(token: str) -> tuple[UUID, UUID] | None:
    """Return the ids of the membership and the webhook; None where the token is none of ours."""
    try:
        membership_id, webhook_id = Signer(salt=SALT, sep=".").unsign(token).split("-")
        return UUID(membership_id), UUID(webhook_id)
    except (BadSignature, ValueError):
        return None
