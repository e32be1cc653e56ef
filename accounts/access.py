"""Who may do what. Every page and form asks here.

A stranger gets 404, so that no answer tells whether an id exists; a member whose role does not suffice gets 403.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts import limits
from accounts.models import Account, Membership, Role, User

MAY_MANAGE_WEBHOOKS = (Role.OWNER, Role.MANAGER)
# Owners alone, so that nobody brings in, or back, whom an owner does not want to have there. Anybody may leave.
MAY_MANAGE_MEMBERS = (Role.OWNER,)
# What an owner reads who gives somebody a role.
ROLE_RIGHTS = {
    Role.OWNER: _("Sees the webhooks, creates them and changes them, and decides who is a member."),
    Role.MANAGER: _("Sees the webhooks, creates them and changes them."),
    Role.VIEWER: _("Sees the webhooks and cannot change them."),
}

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class SignedInRequest(HttpRequest):
    """What a view behind `login_required` gets."""

    user: User


def readable_accounts(user: User | AnonymousUser) -> QuerySet[Account]:
    """Return the accounts that `user` is a member of."""
    return Account.objects.filter(memberships__user=user.pk)


def writable_accounts(user: User | AnonymousUser) -> QuerySet[Account]:
    """Return the accounts in which `user` may manage webhooks."""
    return Account.objects.filter(memberships__user=user.pk, memberships__role__in=MAY_MANAGE_WEBHOOKS)


def get_membership(user: User | AnonymousUser, account_id: UUID) -> Membership:
    """Return the membership that lets `user` read the account, with the account; 404 for strangers."""
    return get_object_or_404(Membership.objects.select_related("account"), user=user.pk, account=account_id)


def get_rw_membership(user: User | AnonymousUser, account_id: UUID) -> Membership:
    """Return the membership that lets `user` manage the account's webhooks; 404 for strangers, 403 for viewers."""
    membership = get_membership(user, account_id)
    if not may_manage_webhooks(membership):
        raise PermissionDenied
    return membership


def get_owner_membership(user: User | AnonymousUser, account_id: UUID) -> Membership:
    """Return the membership that lets `user` manage the account's members; 404 for strangers, 403 for others."""
    membership = get_membership(user, account_id)
    if not may_manage_members(membership):
        raise PermissionDenied
    return membership


def may_manage_webhooks(membership: Membership) -> bool:
    return membership.role in MAY_MANAGE_WEBHOOKS


def may_manage_members(membership: Membership) -> bool:
    return membership.role in MAY_MANAGE_MEMBERS


def action(page: str, *ids: str) -> Callable[[View], View]:
    """Let a view that has no page of its own, only a button on the URL named `page`, be reached by POST alone.

    Who comes otherwise, as from the sign-in after a session has ended, is led to `page`. `ids` names what of the view's
    path stands in that of `page`; strangers to the account get 404. Where the view raises TooMany, the answer is 429.
    """

    def decorate(view: View) -> View:
        @require_http_methods(["GET", "HEAD", "POST"])
        @wraps(view)
        def acted(request: HttpRequest, **path: Any) -> HttpResponseBase:
            if request.method != "POST":
                if "account_id" in ids:
                    get_membership(request.user, path["account_id"])
                return redirect(reverse(page, kwargs={name: path[name] for name in ids}))
            try:
                response: HttpResponseBase = view(request, **path)
            except limits.TooMany as error:
                response = limits.refused(render(request, "429.html", {"explanation": str(error)}), error)
            return response

        return cast(View, acted)

    return decorate
