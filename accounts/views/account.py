from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import limits
from accounts.access import SignedInRequest, get_membership
from accounts.forms import AccountForm
from accounts.models import Membership


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
    form = AccountForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            account = form.save_owned_by(request.user)
        except limits.TooMany as error:
            form.add_error(None, str(error))
            return limits.refused(render(request, "accounts/account_create.html", {"form": form}), error)
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
