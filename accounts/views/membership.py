from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Case, IntegerField, When
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import SignedInRequest, get_membership
from accounts.models import Role

# Owners first, then as `Role` has them.
BY_ROLE = Case(*(When(role=role, then=position) for position, role in enumerate(Role)), output_field=IntegerField())


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
