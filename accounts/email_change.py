"""A change of the address that waits to be confirmed: told to the address as it is, and withdrawn with the password.

Whoever had the password may have asked for it, and the link works without one.
"""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.account.signals import email_added, password_changed, password_reset, password_set
from django.http import HttpRequest

from accounts.models import User


def connect() -> None:
    email_added.connect(tell_asked, dispatch_uid="email_change.asked")
    for name, signal in (("changed", password_changed), ("reset", password_reset), ("set", password_set)):
        signal.connect(withdraw_with_password, dispatch_uid=f"email_change.password_{name}")


def tell_asked(*, request: HttpRequest, user: User, email_address: EmailAddress, **kwargs: Any) -> None:
    get_adapter(request).send_notification_mail(
        "account/email/email_change_asked",
        user,
        {"from_email": user.email, "to_email": email_address.email},
        email=user.email,
    )


def withdraw_with_password(*, user: User, **kwargs: Any) -> None:
    withdraw(user)


def withdraw(user: User) -> None:
    """Withdraw the change for which the user, or somebody in their name, has asked; its link then does nothing."""
    EmailAddress.objects.filter(user=user, verified=False).delete()
