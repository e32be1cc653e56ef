from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.db.models import Case, Count, IntegerField, Q, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import SignedInRequest, get_membership
from accounts.forms import AccountForm, SignInForm
from accounts.models import Membership, Role, User

# Owners first, then as `Role` has them.
BY_ROLE = Case(*(When(role=role, then=position) for position, role in enumerate(Role)), output_field=IntegerField())


class SignInView(LoginView):
    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_redirect_url(self) -> str:
        """Return the page that was asked for, if it is safe and not this one, which would lead to itself for ever."""
        url = super().get_redirect_url()
        return "" if url.partition("?")[0] == self.request.path else url


class SignOutView(LogoutView):
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        messages.success(request, _("You have signed out."))
        return response


@require_POST
def language_set(request: HttpRequest) -> HttpResponse:
    """Remember the language in a cookie, and for whoever is signed in; go back to where the change was made."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        target = resolve_url("accounts:home")
    response = HttpResponseRedirect(target)
    language = request.POST.get("language", "")
    if language in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
        if request.user.is_authenticated:
            User.objects.filter(pk=request.user.pk).update(language=language)
    return response


@login_required
def account_list(request: SignedInRequest) -> HttpResponse:
    memberships = (
        Membership.objects.filter(user=request.user)
        .select_related("account")
        .annotate(webhook_count=Count("account__webhooks", filter=Q(account__webhooks__removed_at=None)))
        .order_by("account__name", "account_id")
    )
    return render(request, "accounts/account_list.html", {"memberships": memberships})


@login_required
def account_create(request: SignedInRequest) -> HttpResponse:
    form = AccountForm(request.POST or None, owner=request.user)
    if form.is_valid():
        account = form.save()
        messages.success(request, _("The account “%(account)s” is ready.") % {"account": account})
        return redirect("accounts:account_overview", account_id=account.pk)
    return render(request, "accounts/account_create.html", {"form": form})


@login_required
def account_overview(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    present = membership.account.webhooks.present()
    counts = present.aggregate(enabled=Count("pk", filter=Q(enabled=True)), disabled=Count("pk", filter=Q(enabled=False)))
    context = {
        "account": membership.account,
        "membership": membership,
        "active_tab": "overview",
        "enabled_count": counts["enabled"],
        "disabled_count": counts["disabled"],
    }
    return render(request, "accounts/account_overview.html", context)


@login_required
def account_managers(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    context = {
        "account": membership.account,
        "membership": membership,
        "active_tab": "managers",
        "memberships": membership.account.memberships.select_related("user").order_by(BY_ROLE, "user__name", "user__email"),
    }
    return render(request, "accounts/account_managers.html", context)
