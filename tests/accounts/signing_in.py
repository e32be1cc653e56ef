"""What people do who sign in: on the pages, with an app, and with the links of e-mails."""

import re
import time
from typing import TYPE_CHECKING

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core import mail
from django.test import Client

from accounts import letters
from accounts.models import User
from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

APP_SECONDS = 30


def sign_in(client: Client, email: str, password: str = PASSWORD, next: str = "") -> "Response":
    return client.post("/sign-in/", {"username": email, "password": password, "next": next})


def signed_in(user: User) -> Client:
    """Return a client that went through the sign-in."""
    client = Client()
    assert sign_in(client, user.email)["Location"] == "/accounts/"
    return client


def confirmed(user: User) -> Client:
    """Return a client that has signed in, and has confirmed that it is the user."""
    client = signed_in(user)
    client.post("/security/confirm/", {"password": PASSWORD, "next": "/security/"})
    return client


def confirm_session(client: Client, user: User) -> None:
    """Let the session of the client count as one in which the user has just confirmed that it is they."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time(), "reauthenticated": True}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def add_app(user: User) -> str:
    """Give the user an authenticator app; return its key."""
    secret: str = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def code_of(secret: str, steps: int = 0) -> str:
    """Return what the app shows, or showed or will show that many times 30 seconds from now."""
    code: str = format_hotp_value(hotp_value(secret, int(time.time()) // APP_SECONDS + steps))
    return code


def recovery_codes(user: User) -> list[str]:
    factor = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    codes: list[str] = factor.wrap().get_unused_codes()
    return codes


def sent_letters() -> list[tuple[str, str, str]]:
    """Send what is to be sent; return to whom, with what subject and text."""
    mail.outbox.clear()
    while letters.send_next():
        pass
    return [(email.to[0], str(email.subject), str(email.body)) for email in mail.outbox]


def link_in(text: str) -> str:
    """Return the path of the link in an e-mail."""
    [path] = re.findall(r"^http://localhost:8000(/\S+)$", text, flags=re.MULTILINE)
    return str(path)
