"""Where signing in with allauth differs from what allauth does by itself: its words, its e-mails, its limits."""

from typing import Any, NoReturn

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as allauth_context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.ratelimit import respond_429
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import letters
from accounts.browsers import name_browser
from webhooks.fields import decrypt, encrypt
from winkhooks.client_address import client_address

logger = structlog.get_logger(__name__)

TOO_MANY = {"too_many_login_attempts", "rate_limited"}


class AccountAdapter(DefaultAccountAdapter):
    """Signs users in by address and password; users are made by staff and by invitations alone."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _("The e-mail address or the password is wrong. Check both and try again."),
        "duplicate_email": _("This is your address already."),
        "enter_current_password": _("This is not your current password."),
        "incorrect_password": _("This is not your password."),
        "incorrect_code": _("This code is wrong or was used already."),
        "invalid_password_reset": _("This link does not work any more."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        """Return the error; where there were too many attempts, answer at once with the page that says so."""
        if code in TOO_MANY:
            answer_too_many_attempts(allauth_context.request)
        error: ValidationError = super().validation_error(code, *args)
        return error

    def get_client_ip(self, request: HttpRequest) -> str:
        # Those whose address is not known share their limits.
        return client_address(request) or "0.0.0.0"  # noqa: S104  nothing listens there

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ImmediateHttpResponse:
            logger.warning("sign_in_limited", **self._who(request, credentials))
            raise

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        """Return the user; one who is inactive is not told apart from a wrong password."""
        user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        if user is None or user.is_active:
            return user
        # The right password was not counted as an attempt; a wrong one is.
        self.pre_authenticate(request, **credentials)
        self.authentication_failed(request, **credentials)
        return None

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        logger.warning("sign_in_failed", **self._who(request, credentials))

    def _who(self, request: HttpRequest, credentials: dict[str, Any]) -> dict[str, str]:
        """Return what the log may know: not what was typed as an address, which may be a password in the wrong field.

        Of the same address it makes the same digest, so that attempts on one user can be told from those on many.
        """
        address = str(credentials.get("email", "")).lower()
        digest = salted_hmac("accounts.adapters.sign_in", address, algorithm="sha256").hexdigest()[:12]
        return {"address_digest": digest, "ip": self.get_client_ip(request)}

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        super().login(request, user)
        # The form for passwords does so itself; passkeys and invitations come without it.
        request.session.set_expiry(settings.ACCOUNT_SESSION_COOKIE_AGE)

    def respond_user_inactive(self, request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
        """Answer who has the passkey of an inactive user; the right password does not come so far."""
        messages.error(request, gettext("You cannot sign in any more. Ask the staff of Wink."))
        return redirect(settings.LOGIN_URL)

    def get_reset_password_from_key_url(self, key: str) -> str:
        user, _dash, token = key.partition("-")
        return settings.PORTAL_URL + reverse("account_reset_password_from_key", args=[user, token])

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return settings.PORTAL_URL + reverse("account_confirm_email", args=[emailconfirmation.key])

    def get_email_verification_redirect_url(self, email_address: Any) -> str:
        return reverse("mfa_index" if self.request.user.is_authenticated else "accounts:sign_in")

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("mfa_index")

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Have a worker send it, so that no answer takes longer, or fails, because an address is known."""
        letters.post(template_prefix, email, context)

    def send_confirmation_mail(self, request: HttpRequest, emailconfirmation: Any, signup: bool) -> None:
        """Send the link; where somebody else signs in with the address, tell them instead, and nobody on the page."""
        address = emailconfirmation.email_address
        if address.can_set_verified():
            super().send_confirmation_mail(request, emailconfirmation, signup)
        else:
            self.send_account_already_exists_mail(address.email)

    def send_account_already_exists_mail(self, email: str) -> None:
        self.send_mail("account/email/account_already_exists", email, {})

    def send_notification_mail(
        self,
        template_prefix: str,
        user: AbstractBaseUser,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        browser = name_browser(self.get_http_user_agent(self.request))
        words = {"user": user, "browser": browser, **(context or {})}
        super().send_notification_mail(template_prefix, user, words, email)

    def get_reauthentication_methods(self, user: AbstractBaseUser | AnonymousUser) -> list[dict[str, Any]]:
        words = {
            "reauthenticate": gettext("Use your password"),
            "mfa_reauthenticate": gettext("Use a code of your app or a recovery code"),
            "mfa_reauthenticate:webauthn": gettext("Use a passkey"),
        }
        methods = super().get_reauthentication_methods(user)
        return [method | {"description": words[method["id"]]} for method in methods]


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keeps what codes are made of encrypted, under `WEBHOOK_SECRET_KEYS`."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("This code is wrong or was used already."),
    }

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return gettext("Passkey %(number)d") % {"number": number}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": "Winkhooks"}


def answer_too_many_attempts(request: HttpRequest) -> NoReturn:
    """Leave whatever looks at the request, with the page that says so as its answer."""
    raise ImmediateHttpResponse(respond_429(request))
