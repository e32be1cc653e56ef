from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Case, IntegerField, When
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import SignedInRequest, get_membership, get_owner_membership, may_manage_members
from accounts.forms import RoleForm
from accounts.models import LastOwner, Membership, Role

# Owners first, then as `Role` has them.
BY_ROLE = Case(*(When(role=role, then=position) for position, role in enumerate(Role)), output_field=IntegerField())
OWNER_NEEDED = gettext_lazy("An account needs an owner. Make somebody else an owner first.")


def tab_context(membership: Membership) -> dict[str, Any]:
    return {"account": membership.account, "membership": membership, "active_tab": "managers"}


@login_required
@require_safe
def account_managers(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    account = membership.account
    members = list(account.memberships.select_related("user").order_by(BY_ROLE, "user__name", "user__email"))
    owners = [member for member in members if member.role == Role.OWNER]
    context = tab_context(membership) | {
        "memberships": members,
        "last_owner": owners[0] if len(owners) == 1 else None,
        "may_manage": may_manage_members(membership),
    }
    if context["may_manage"]:
        context["invitations"] = account.invitations.open().select_related("invited_by").order_by("-pk")
    return render(request, "accounts/account_managers.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def membership_change(request: SignedInRequest, account_id: UUID, membership_id: UUID) -> HttpResponse:
    membership = get_owner_membership(request.user, account_id)
    member = _get_member(account_id, membership_id)
    form = RoleForm(request.POST if request.method == "POST" else None, instance=member)
    if form.is_valid():
        try:
            if not member.change_role(form.cleaned_data["role"]):
                raise Http404
        except LastOwner:
            form.add_error("role", str(OWNER_NEEDED))
        else:
            messages.success(
                request,
                _("The role of “%(name)s” is now: %(role)s.")
                % {"name": member.user.get_full_name(), "role": member.get_role_display()},
            )
            return redirect("accounts:account_managers", account_id)
    context = tab_context(membership) | {"member": member, "form": form}
    return render(request, "accounts/membership_change.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def membership_remove(request: SignedInRequest, account_id: UUID, membership_id: UUID) -> HttpResponse:
    membership = get_owner_membership(request.user, account_id)
    member = _get_member(account_id, membership_id)
    if member == membership:
        return redirect("accounts:membership_leave", account_id)
    name = member.user.get_full_name()
    if request.method == "POST":
        if _end(request, member):
            messages.success(request, _("“%(name)s” was removed.") % {"name": name})
        return redirect("accounts:account_managers", account_id)
    context = tab_context(membership) | {
        "question": _("Remove “%(name)s” from this account?") % {"name": name},
        "consequence": _(
            "They lose access to this account and its webhooks at once. What they made stays. "
            "You can invite them again."
        ),
    }
    return render(request, "accounts/confirm.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def membership_leave(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    if membership.is_last_owner():
        messages.error(request, str(OWNER_NEEDED))
        return redirect("accounts:account_managers", account_id)
    if request.method == "POST":
        if not _end(request, membership):
            return redirect("accounts:account_managers", account_id)
        messages.success(request, _("You have left the account “%(account)s”.") % {"account": membership.account})
        return redirect("accounts:account_list")
    context = tab_context(membership) | {
        "question": _("Leave the account “%(account)s”?") % {"account": membership.account},
        "consequence": _(
            "You lose access to this account and its webhooks at once. What you made stays. "
            "Only an owner can invite you again."
        ),
    }
    return render(request, "accounts/confirm.html", context)


def _get_member(account_id: UUID, membership_id: UUID) -> Membership:
    members = Membership.objects.select_related("user", "account")
    return get_object_or_404(members, account=account_id, pk=membership_id)


def _end(request: SignedInRequest, member: Membership) -> bool:
    """End a membership, unless it turns out to be that of the last owner; then say so and return False."""
    try:
        member.end(by=request.user)
    except LastOwner:
        messages.error(request, str(OWNER_NEEDED))
        return False
    return True
