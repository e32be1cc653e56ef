from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views import csrf
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from accounts.forms import SignInForm
from accounts.models import User

SIGN_IN_PAGES = ("accounts:sign_in", "admin:login")


class SignInView(LoginView):
    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs are of a later Django
        """Return the page that was asked for, if it is safe and not this one, which would lead to itself for ever."""
        url = super().get_redirect_url()
        return "" if url == self.request.path else url


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Lead on whoever sends a sign-in form and has signed in in another tab meanwhile; tell others what to do."""
    if request.user.is_authenticated and request.resolver_match and request.resolver_match.view_name in SIGN_IN_PAGES:
        messages.info(request, _("You had signed in already, as %(email)s.") % {"email": request.user.email})
        view = SignInView()
        view.setup(request)
        return redirect(view.get_success_url())
    return csrf.csrf_failure(request, reason)


class SignOutView(LogoutView):
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        messages.success(request, _("You have signed out."))
        return response


@require_POST
def language_set(request: HttpRequest) -> HttpResponseBase:
    """Remember the language in a cookie, and for whoever is signed in; go back to where the change was made."""
    language = request.POST.get("language")
    if request.user.is_authenticated and language in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(language=language)
    return set_language(request)
