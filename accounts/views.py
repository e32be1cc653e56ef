from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.db.models import Case, Count, IntegerField, Q, When
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views import csrf
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.i18n import set_language

from accounts.access import SignedInRequest, get_membership
from accounts.forms import AccountForm, SignInForm
from accounts.models import Membership, Role, User

# Owners first, then as `Role` has them.
BY_ROLE = Case(*(When(role=role, then=position) for position, role in enumerate(Role)), output_field=IntegerField())
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


@login_required
@require_safe
def account_list(request: SignedInRequest) -> HttpResponse:
    memberships = (
        Membership.objects.filter(user=request.user)
        .select_related("account")
        .annotate(webhook_count=Count("account__webhooks", filter=Q(account__webhooks__removed_at=None)))
        .order_by("account__name", "account_id")
    )
    return render(request, "accounts/account_list.html", {"memberships": memberships})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account_create(request: SignedInRequest) -> HttpResponse:
    form = AccountForm(request.POST if request.method == "POST" else None, label_suffix="")
    if form.is_valid():
        account = form.save_owned_by(request.user)
        messages.success(request, _("The account “%(account)s” is ready.") % {"account": account})
        return redirect("accounts:account_overview", account_id=account.pk)
    return render(request, "accounts/account_create.html", {"form": form})


@login_required
@require_safe
def account_overview(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    counts = membership.account.webhooks.present().aggregate(
        enabled_count=Count("pk", filter=Q(enabled=True)), disabled_count=Count("pk", filter=Q(enabled=False))
    )
    context = {"account": membership.account, "membership": membership, "active_tab": "overview", **counts}
    return render(request, "accounts/account_overview.html", context)


@login_required
@require_safe
def account_managers(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    members = membership.account.memberships.select_related("user").order_by(BY_ROLE, "user__name", "user__email")
    context = {
        "account": membership.account,
        "membership": membership,
        "active_tab": "managers",
        "memberships": members,
    }
    return render(request, "accounts/account_managers.html", context)
