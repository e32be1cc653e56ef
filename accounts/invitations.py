"""Inviting people into an account: from the address that an owner names to the member that comes of it.

The e-mail carries a link with a token, and the token is all that its reader needs. It is nowhere in the database: it is
made of the invitation's id and nonce, and signed.

What is to be sent stands in the row, as `send_after`; `outbox` sends it.
"""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from accounts import audit, invitation_email, limits, outbox
from accounts.models import Account, Invitation, Membership, User, generate_nonce
from winkhooks import broker

VALID_FOR = timedelta(days=7)
KEPT_FOR = timedelta(days=30)
"""So long an invitation stays once it has been accepted or withdrawn, or has expired."""
PURGE_BATCH = 500
RETRY_AFTER = timedelta(minutes=5)


def invite(*, account: Account, email: str, role: str, by: User) -> Invitation:
    """Invite whoever reads the mail of `email`; raise ValidationError where they are in the account, or invited.

    Raise ValidationError too where the account is full, and TooMany where `by` has invited many lately.
    """
    now = timezone.now()
    with account.members_locked():
        limits.check(limits.INVITATIONS, by)
        if User.objects.with_email(email).filter(memberships__account=account).exists():
            raise ValidationError(_("This person is a member of the account already."), code="member")
        earlier = Invitation.objects.open().to(email).filter(account=account)
        if earlier.usable(now).exists():
            raise ValidationError(
                _("This address has been invited already. The invitation can be sent again, or withdrawn."),
                code="invited",
            )
        if account.invitations.open().count() >= limits.MOST_OPEN_INVITATIONS:
            raise ValidationError(
                _("This account has %(count)d open invitations, which is the most. Withdraw one first."),
                code="too_many",
                params={"count": limits.MOST_OPEN_INVITATIONS},
            )
        if account.memberships.count() >= limits.MOST_MEMBERS:
            raise ValidationError(
                _("This account has %(count)d members, which is the most. Remove one first."),
                code="too_many",
                params={"count": limits.MOST_MEMBERS},
            )
        # One that has expired makes room.
        earlier.update(withdrawn_at=now, withdrawn_by=by, send_after=None)
        invitation = Invitation.objects.create(
            account=account,
            email=email,
            role=role,
            invited_by=by,
            language=translation.get_language(),
            expires_at=now + VALID_FOR,
            send_after=now,
        )
        _note(audit.Action.INVITATION_SENT, invitation, by, {"role": (None, role)})
        transaction.on_commit(_have_sent, robust=True)
    return invitation


def resend(invitation: Invitation, by: User) -> bool:
    """Send the e-mail again with a new link, and end the links before it; return whether the invitation was open.

    Raise TooMany where `by` has invited many lately.
    """
    now = timezone.now()
    with transaction.atomic():
        limits.check(limits.INVITATIONS, by)
        changed = (
            Invitation.objects.open()
            .filter(pk=invitation.pk)
            .update(
                nonce=generate_nonce(),
                invited_by=by,
                language=translation.get_language(),
                expires_at=now + VALID_FOR,
                send_after=now,
                sent_at=None,
            )
        )
        if changed:
            _note(audit.Action.INVITATION_RESENT, invitation, by)
            transaction.on_commit(_have_sent, robust=True)
    return bool(changed)


def withdraw(invitation: Invitation, by: User) -> bool:
    """End the links of the invitation; return whether it was open."""
    with transaction.atomic():
        changed = (
            Invitation.objects.open()
            .filter(pk=invitation.pk)
            .update(withdrawn_at=timezone.now(), withdrawn_by=by, send_after=None)
        )
        if changed:
            _note(audit.Action.INVITATION_WITHDRAWN, invitation, by)
    return bool(changed)


def _note(
    action: audit.Action,
    invitation: Invitation,
    by: User,
    changes: dict[str, tuple[str | None, str | None]] | None = None,
) -> None:
    audit.record(
        action,
        account=invitation.account_id,
        target=invitation.email,
        target_id=invitation.pk,
        actor=by,
        changes=changes,
    )


def token_of(invitation: Invitation) -> str:
    return _signer().sign(f"{invitation.pk.hex}.{invitation.nonce}")


def find(token: str) -> Invitation | None:
    """Return the invitation whose newest link has this token, in whatever state it is."""
    try:
        pk, nonce = _signer().unsign(token).split(".")
    except BadSignature:
        return None
    return Invitation.objects.select_related("account", "invited_by").filter(pk=pk, nonce=nonce).first()


def _signer() -> Signer:
    return Signer(salt="accounts.invitations", sep=".")


def accept(invitation: Invitation, user: User) -> bool:
    """Make the user a member, and return whether the invitation was usable by them.

    Who has become a member in another way keeps that role.
    """
    now = timezone.now()
    with transaction.atomic():
        accepted = (
            Invitation.objects.usable(now)
            .to(user.email)
            .filter(pk=invitation.pk, nonce=invitation.nonce)
            .update(accepted_at=now, accepted_by=user, send_after=None)
        )
        if accepted:
            membership, is_new = Membership.objects.get_or_create(
                account=invitation.account, user=user, defaults={"role": invitation.role}
            )
            audit.record(
                audit.Action.MEMBER_JOINED,
                account=invitation.account_id,
                target=user.get_full_name(),
                target_id=user.pk,
                actor=user,
                changes={"role": (None, membership.role)} if is_new else None,
            )
    return bool(accepted)


def accept_as_new(invitation: Invitation, user: User) -> bool:
    """Save the user, who is new, and make them a member; where the invitation is not usable any more do neither.

    The address counts as theirs: they have the link that was sent to it.
    """
    try:
        with transaction.atomic():
            user.save()
            accepted = accept(invitation, user)
            if not accepted:
                transaction.set_rollback(True)
    except IntegrityError:
        # Somebody made a user of this address in the meantime.
        return False
    return accepted


def send_next() -> bool:
    """Send the e-mail that has waited longest; return False where none waits, or the mail server failed."""
    return outbox.send_first(
        Invitation.objects.usable(timezone.now()).select_related("account", "invited_by"),
        lambda invitation: invitation_email.compose(invitation, token_of(invitation)),
        retry_after=RETRY_AFTER,
        sent=lambda leased, now: leased.update(send_after=None, sent_at=now),
        refused=lambda leased: leased.update(send_after=None),
    )


def purge() -> int:
    """Remove invitations that ended longer than KEPT_FOR ago; return how many."""
    before = timezone.now() - KEPT_FOR
    ended = (
        Q(accepted_at__lt=before)
        | Q(withdrawn_at__lt=before)
        | Q(accepted_at=None, withdrawn_at=None, expires_at__lt=before)
    )
    removed = 0
    while ids := list(Invitation.objects.filter(ended).order_by("pk").values_list("pk", flat=True)[:PURGE_BATCH]):
        # Asked again, for one may have been sent anew in the meantime.
        removed += Invitation.objects.filter(ended, pk__in=ids).delete()[0]
    return removed


def _have_sent() -> None:
    """Tell a worker that there is an e-mail to send; where the broker does not answer, beat does so within a minute."""
    broker.send("accounts.tasks.send_invitations", expires=outbox.MESSAGE_SECONDS)
