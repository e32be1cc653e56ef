"""The pages on which signed-in users look after how they sign in."""

from typing import Any

from allauth.account import views as account
from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.email_verification import consume_email_verification_rate_limit
from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from allauth.account.models import EmailAddress
from allauth.account.views import EmailView
from allauth.mfa.base.views import IndexView
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.views import ListWebAuthnView, ReauthenticateWebAuthnView
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from accounts import limits
from accounts.access import SignedInRequest, action
from accounts.browsers import name_browser
from accounts.views.session import WAIT_SECONDS


class SecurityView(IndexView):
    """All of how the user signs in, on one page."""

    template_name = "accounts/security.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        authenticators = context["authenticators"]
        codes = authenticators.get(Authenticator.Type.RECOVERY_CODES)
        return context | {
            "app": authenticators.get(Authenticator.Type.TOTP),
            "passkeys": authenticators.get(Authenticator.Type.WEBAUTHN, []),
            "recovery_code_count": len(codes.get_unused_codes()) if codes else None,
            "new_email": EmailAddress.objects.get_new(self.request.user),
            "session_count": len(UserSession.objects.purge_and_list(self.request.user)),
        }


class EmailChangeView(EmailView):
    """Change the address: the new one takes the place of the old one once it is confirmed."""

    template_name = "accounts/email_change.html"

    def form_valid(self, form: Any) -> HttpResponse:
        """Have the link sent; where one was sent there lately say when to try again, and leave all as it is."""
        if not consume_email_verification_rate_limit(self.request, form.cleaned_data["email"], dry_run=True):
            form.add_error("email", self._sent_lately())
            refused: HttpResponse = self.form_invalid(form)
            return refused
        asked: HttpResponse = super().form_valid(form)
        return asked

    def _action_send(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        response: HttpResponse | None = super()._action_send(request, *args, **kwargs)
        if not self._did_send_verification_email:
            messages.warning(request, self._sent_lately())
        return response

    def _sent_lately(self) -> str:
        sent = _("A link was sent to this address a short while ago.")
        return f"{sent} {limits.wait_sentence(WAIT_SECONDS)}"


class SessionListView(ListUserSessionsView):
    template_name = "accounts/session_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        newest_first = reversed(context["sessions"])
        context["sessions"] = [(session, name_browser(session.user_agent)) for session in newest_first]
        return context


class PasskeyListView(ListWebAuthnView):
    template_name = "accounts/passkey_list.html"


class PasskeyConfirmView(ReauthenticateWebAuthnView):
    def form_invalid(self, form: Any) -> HttpResponse:
        messages.error(self.request, _("This passkey is not one of yours."))
        return redirect(self.request.get_full_path())


@login_required
@sensitive_post_parameters("password1", "password2")
def password_set(request: SignedInRequest) -> HttpResponseBase:
    """Let somebody who has no password choose one, once they have confirmed that it is they.

    A password that is sent too late is to be typed again: allauth would keep it in the session meanwhile.
    """
    if request.method == "POST" and is_reauthentication_required(request, app="allauth.account"):
        return redirect("account_set_password")
    response: HttpResponseBase = reauthentication_required(account.password_set)(request)
    return response


@login_required
@action("usersessions_list")
def session_end(request: SignedInRequest, session_id: int) -> HttpResponse:
    """Sign out one session of the user, on whatever device it is."""
    session = get_object_or_404(UserSession, pk=session_id, user=request.user)
    end_sessions(request, [session])
    if request.user.is_authenticated:
        messages.success(request, _("That session was signed out."))
    return redirect("usersessions_list")


overview = SecurityView.as_view()
email_change = EmailChangeView.as_view()
session_list = SessionListView.as_view()
passkey_list = PasskeyListView.as_view()
passkey_confirm = PasskeyConfirmView.as_view()
