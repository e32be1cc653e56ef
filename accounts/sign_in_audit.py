"""What the change history tells of signing in: of a user, not of an account."""

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from datetime import timedelta
from functools import partial
from typing import Any

from allauth.account.signals import email_changed, password_changed, password_reset, password_set
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from django.contrib.auth import signals
from django.core.signals import request_finished
from django.utils import timezone

from accounts import audit
from accounts.audit import Action, AuditEntry
from accounts.models import User
from winkhooks.uuid7 import first_uuid7_at

# Of each user. More of them say nothing new, and whoever guesses passwords shall not fill the table.
MOST_FAILURES = 10
WITHIN = timedelta(hours=1)

_to_note: ContextVar[tuple[Callable[[], None], ...]] = ContextVar("to_note", default=())


def connect() -> None:
    """Listen to Django and to allauth."""
    signals.user_logged_in.connect(note_sign_in, dispatch_uid="audit.signed_in")
    signals.user_logged_out.connect(note_sign_out, dispatch_uid="audit.signed_out")
    signals.user_login_failed.connect(note_failure_later, dispatch_uid="audit.sign_in_failed")
    request_finished.connect(note_failures, dispatch_uid="audit.answer_sent")
    email_changed.connect(note_email, dispatch_uid="audit.email_changed")
    password_changed.connect(note_password, dispatch_uid="audit.password_changed")
    password_set.connect(note_password, dispatch_uid="audit.password_set")
    password_reset.connect(note_password, dispatch_uid="audit.password_reset")
    authenticator_added.connect(note_factor_added, dispatch_uid="audit.factor_added")
    authenticator_removed.connect(note_factor_removed, dispatch_uid="audit.factor_removed")
    authenticator_reset.connect(note_factor_reset, dispatch_uid="audit.factor_reset")


def note_sign_in(*, user: User, **kwargs: Any) -> None:
    _note(Action.SIGNED_IN, user)


def note_sign_out(*, user: User | None, **kwargs: Any) -> None:
    if user:
        _note(Action.SIGNED_OUT, user)


def note_failure_later(*, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Have it noted once the answer is out, which so takes no longer where the user is known."""
    address = str(credentials.get("username") or credentials.get("email") or "")
    # Who does it, and from where, is known in this context alone.
    _to_note.set((*_to_note.get(), partial(copy_context().run, note_failure, address)))


def note_failures(**kwargs: Any) -> None:
    waiting = _to_note.get()
    _to_note.set(())
    for note in waiting:
        note()


def note_failure(address: str) -> None:
    """Note that somebody failed to sign in as a user who is known.

    What else was typed as an address is not kept: it may be a password in the wrong field.
    """
    user = User.objects.with_email(address).first() if "\0" not in address else None
    if user is None:
        return
    lately = first_uuid7_at(timezone.now() - WITHIN)
    failures = AuditEntry.objects.filter(target_id=user.pk, action=Action.SIGN_IN_FAILED, pk__gte=lately)
    if failures[:MOST_FAILURES].count() < MOST_FAILURES:
        audit.record(Action.SIGN_IN_FAILED, account=None, target=user.get_full_name(), target_id=user.pk)


def note_email(*, user: User, from_email_address: Any, to_email_address: Any, **kwargs: Any) -> None:
    earlier = from_email_address and from_email_address.email
    _note(Action.EMAIL_CHANGED, user, {"email": (earlier, to_email_address.email)})


def note_password(*, user: User, **kwargs: Any) -> None:
    _note(Action.PASSWORD_CHANGED, user)


def note_factor_added(*, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    if not _come_along(authenticator):
        _note(Action.SECOND_FACTOR_ADDED, user)


def note_factor_removed(*, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    if not _come_along(authenticator):
        _note(Action.SECOND_FACTOR_REMOVED, user)


def note_factor_reset(*, user: User, **kwargs: Any) -> None:
    _note(Action.SECOND_FACTOR_RESET, user)


def _come_along(authenticator: Authenticator) -> bool:
    """Tell whether these are recovery codes, which come with the first other factor and go with the last one."""
    return bool(authenticator.type == Authenticator.Type.RECOVERY_CODES)


def _note(action: Action, user: User, changes: dict[str, tuple[str | None, str]] | None = None) -> None:
    audit.record(
        action, account=None, target=user.get_full_name(), target_id=user.pk, actor=user, changes=changes or {}
    )
