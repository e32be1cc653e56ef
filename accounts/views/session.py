from typing import Any
from urllib.parse import urlencode

from allauth.account.views import LoginView, PasswordResetFromKeyView
from allauth.mfa.webauthn.views import LoginWebAuthnView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils.translation import gettext as _
from django.views import csrf
from django.views.decorators.debug import sensitive_post_parameters
from django.views.i18n import set_language

from accounts import limits
from accounts.access import action
from accounts.models import User

SIGN_IN_PAGES = ("accounts:sign_in", "account_login")
# No limit looks back further, so that whoever waits this long is let in; a test compares it with all of them.
WAIT_SECONDS = 300


class SignInView(LoginView):
    template_name = "accounts/sign_in.html"

    def get_next_url(self) -> str | None:
        """Return the page that was asked for, if it is safe and not this one, which would lead to itself for ever."""
        url: str | None = super().get_next_url()
        return None if url == self.request.path else url

    def get_authenticated_redirect_url(self) -> str:
        return str(self.get_success_url())

    def get_default_success_url(self) -> str:
        return resolve_url(settings.LOGIN_REDIRECT_URL)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"next": self.get_next_url() or ""}


class PasskeySignInView(LoginWebAuthnView):
    """Sign in with a passkey; the address and the password are not needed."""

    def get_success_url(self) -> str:
        return resolve_url(settings.LOGIN_REDIRECT_URL)

    def form_invalid(self, form: Any) -> HttpResponse:
        messages.error(self.request, _("This passkey is not known here. Sign in with your password."))
        query = {REDIRECT_FIELD_NAME: self.request.POST.get(REDIRECT_FIELD_NAME, "")}
        return redirect(f"{resolve_url('accounts:sign_in')}?{urlencode(query)}")


class SignOutView(LogoutView):
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        messages.success(request, _("You have signed out."))
        return response


sign_in = SignInView.as_view()
passkey_sign_in = PasskeySignInView.as_view()
sign_out = action("accounts:home")(SignOutView.as_view())
# Browsers send the address of the page to no other site, and the log does not have it either.
password_new = sensitive_post_parameters("password1", "password2")(PasswordResetFromKeyView.as_view())


def too_many_attempts_page(request: HttpRequest) -> HttpResponse:
    """Say when to try again; the limits let in whoever has waited as long."""
    too_many = _("There were too many attempts.")
    explanation = f"{too_many} {limits.wait_sentence(WAIT_SECONDS)}"
    response = render(request, "429.html", {"explanation": explanation}, status=429)
    response["Retry-After"] = str(WAIT_SECONDS)
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Lead on whoever sends a sign-in form and has signed in in another tab meanwhile; tell others what to do."""
    if request.user.is_authenticated and request.resolver_match and request.resolver_match.view_name in SIGN_IN_PAGES:
        messages.info(request, _("You had signed in already, as %(email)s.") % {"email": request.user.email})
        view = SignInView()
        view.setup(request)
        return redirect(view.get_success_url())
    return csrf.csrf_failure(request, reason)


@action("accounts:home")
def language_set(request: HttpRequest) -> HttpResponseBase:
    """Remember the language in a cookie, and for whoever is signed in; go back to where the change was made."""
    language = request.POST.get("language")
    if request.user.is_authenticated and language in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(language=language)
    return set_language(request)
