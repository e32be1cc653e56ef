"""The second factors of users: whether one was given, and what staff do for those who have lost theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.http import HttpRequest

from accounts import audit, email_change, letters
from accounts.models import User
from winkhooks.client_address import client_address

logger = structlog.get_logger(__name__)


def connect() -> None:
    authenticator_added.connect(note_given, dispatch_uid="second_factor.given")
    authentication_failed.connect(log_failure, dispatch_uid="second_factor.failed")


def log_failure(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    logger.warning("second_factor_failed", user=str(user.pk), ip=client_address(request))


def log_passkey_failure(request: HttpRequest, user: User | None) -> None:
    """Log that a passkey was refused; who signs in with it alone is not known."""
    logger.warning("passkey_failed", user=str(user.pk) if user else None, ip=client_address(request))


@contextmanager
def limit_logged(request: HttpRequest, user: User | None) -> Iterator[None]:
    """Log that something was not looked at any more, after too many attempts."""
    try:
        yield
    except ImmediateHttpResponse:
        logger.warning("second_factor_limited", user=str(user.pk) if user else None, ip=client_address(request))
        raise


def note_given(*, request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    """Take a factor that was just added as given: it was shown to work, and is not asked for again at once."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(request, user, "mfa", id=authenticator.pk, type=authenticator.type)


def was_given(request: HttpRequest) -> bool:
    """Tell whether the user has given a second factor in this session that they still have."""
    if not isinstance(request.user, User):
        return False
    records = get_authentication_records(request, request.user)
    given = [record["id"] for record in records if record["method"] == "mfa"]
    return bool(given) and Authenticator.objects.filter(user=request.user, pk__in=given).exists()


def remove_all(user: User) -> bool:
    """Take all second factors from a user who has lost them, and sign them out everywhere; return whether they had any.

    From then on the password alone signs in, until the user adds a factor. They are told by e-mail. A change of their
    address that waits is withdrawn.
    """
    with transaction.atomic():
        email_change.withdraw(user)
        removed, _ = Authenticator.objects.filter(user=user).delete()
        if removed:
            for session in UserSession.objects.filter(user=user):
                session.end()
            audit.record(
                audit.Action.SECOND_FACTOR_REMOVED, account=None, target=user.get_full_name(), target_id=user.pk
            )
            letters.post("mfa/email/second_factors_removed", user.email, {"user": user})
    return bool(removed)
