from uuid import UUID

from allauth.account.utils import perform_login
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import invitations, limits
from accounts.access import SignedInRequest, action, get_owner_membership, readable_accounts
from accounts.forms import InvitationForm, NewUserForm
from accounts.models import Account, Invitation, User
from accounts.views.membership import tab_context


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_create(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_owner_membership(request.user, account_id)
    form = InvitationForm(request.POST if request.method == "POST" else None)
    context = tab_context(membership) | {"form": form}
    if form.is_valid():
        try:
            invitation = invitations.invite(account=membership.account, **form.cleaned_data, by=request.user)
        except ValidationError as error:
            form.add_error("email", error)
        except limits.TooMany as error:
            form.add_error(None, str(error))
            return limits.refused(render(request, "accounts/invitation_create.html", context), error)
        else:
            messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": invitation.email})
            return redirect("accounts:account_managers", account_id)
    return render(request, "accounts/invitation_create.html", context)


@login_required
@action("accounts:account_managers", "account_id")
def invitation_resend(request: SignedInRequest, account_id: UUID, invitation_id: UUID) -> HttpResponse:
    get_owner_membership(request.user, account_id)
    invitation = _get_open_invitation(account_id, invitation_id)
    if invitations.resend(invitation, by=request.user):
        messages.success(
            request,
            _("A new e-mail is on its way to %(email)s. Links sent before no longer work.")
            % {"email": invitation.email},
        )
    return redirect("accounts:account_managers", account_id)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_withdraw(request: SignedInRequest, account_id: UUID, invitation_id: UUID) -> HttpResponse:
    membership = get_owner_membership(request.user, account_id)
    invitation = _get_open_invitation(account_id, invitation_id)
    if request.method == "POST":
        if invitations.withdraw(invitation, by=request.user):
            messages.success(request, _("The invitation of %(email)s was withdrawn.") % {"email": invitation.email})
        return redirect("accounts:account_managers", account_id)
    context = tab_context(membership) | {
        "question": _("Withdraw the invitation of %(email)s?") % {"email": invitation.email},
        "consequence": _("The link in the e-mail stops working. You can invite this person again."),
    }
    return render(request, "accounts/confirm.html", context)


@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_accept(request: HttpRequest, token: str) -> HttpResponse:
    """Let whoever has the link join the account: as the user of the address, or as a new one."""
    invitation = invitations.find(token)
    if invitation is None:
        return _unusable(request)
    if account := _account_joined(request, invitation):
        return redirect("accounts:account_overview", account.pk)
    if not Invitation.objects.usable(timezone.now()).filter(pk=invitation.pk).exists():
        return _unusable(request)
    if isinstance(request.user, User):
        return _accept_as_user(request, request.user, invitation)
    if User.objects.with_email(invitation.email).exists():
        return render(request, "accounts/invitation_accept.html", {"invitation": invitation})
    return _accept_as_new(request, invitation)


def _accept_as_user(request: HttpRequest, user: User, invitation: Invitation) -> HttpResponse:
    if not invitation.is_to(user):
        return render(request, "accounts/invitation_of_another.html", {"invitation": invitation})
    if request.method == "POST":
        return _lead_on(request, invitation, joined=invitations.accept(invitation, user))
    return render(request, "accounts/invitation_accept.html", {"invitation": invitation})


def _accept_as_new(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    user = User(email=User.objects.normalize_email(invitation.email), language=get_language() or "")
    form = NewUserForm(request.POST if request.method == "POST" else None, instance=user, label_suffix="")
    if form.is_valid():
        joined = invitations.accept_as_new(invitation, form.save(commit=False))
        if joined:
            perform_login(request, user)
        return _lead_on(request, invitation, joined=joined)
    return render(request, "accounts/invitation_accept.html", {"invitation": invitation, "form": form})


def _lead_on(request: HttpRequest, invitation: Invitation, *, joined: bool) -> HttpResponse:
    """Lead to the account; where something came in between, to the page of the invitation, which says what."""
    if not joined:
        return redirect(request.path)
    messages.success(request, _("Welcome to the account “%(account)s”.") % {"account": invitation.account})
    return redirect("accounts:account_overview", invitation.account_id)


def _account_joined(request: HttpRequest, invitation: Invitation) -> Account | None:
    """Return the account where the user has accepted this invitation before, and is in it."""
    if not request.user.is_authenticated or invitation.accepted_by_id != request.user.pk:
        return None
    return readable_accounts(request.user).filter(pk=invitation.account_id).first()


def _unusable(request: HttpRequest) -> HttpResponse:
    """Say the same of links that were used, withdrawn, have expired or never were."""
    return render(request, "accounts/invitation_unusable.html", status=404)


def _get_open_invitation(account_id: UUID, invitation_id: UUID) -> Invitation:
    return get_object_or_404(Invitation.objects.open(), account=account_id, pk=invitation_id)
