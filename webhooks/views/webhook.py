from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import SignedInRequest, get_membership, get_rw_membership, may_manage_webhooks
from accounts.models import Membership, User
from webhooks.forms import WebhookForm, WebhookUpdateForm
from webhooks.models import EventType, StaleVersion, Webhook

# Holds the id of a webhook whose secret its account's list has yet to show, and never the secret itself.
SESSION_KEY = "webhook_created"


@login_required
@never_cache
@require_safe
def webhook_list(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    may_manage = may_manage_webhooks(membership)
    context = _tab_context(membership) | {
        "may_manage": may_manage,
        "webhooks": _listed_webhooks(account_id),
        "webhook_created": _pop_created_webhook(request, account_id) if may_manage else None,
    }
    return render(request, "webhooks/webhook_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_create(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    form = WebhookForm(_posted(request), user=request.user, initial={"account": membership.account})
    if form.is_valid():
        webhook = Webhook.objects.register(**form.cleaned_data, by=request.user)
        request.session[SESSION_KEY] = str(webhook.pk)
        messages.success(request, _("“%(name)s” was created.") % {"name": webhook.name})
        return redirect("webhooks:webhook_list", webhook.account_id)
    return render(request, "webhooks/webhook_form.html", _tab_context(membership) | {"form": form})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_update(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    webhook = _get_webhook(account_id, webhook_id)
    form = WebhookUpdateForm(_posted(request), user=request.user, instance=webhook)
    status = 200
    if form.is_valid():
        try:
            _change(webhook, form, request.user)
        except StaleVersion:
            form.start_from(_get_webhook(account_id, webhook_id))
            status = 409
        else:
            messages.success(request, _("“%(name)s” was saved.") % {"name": webhook.name})
            return redirect("webhooks:webhook_list", account_id)
    context = _tab_context(membership) | {"form": form, "webhook_name": form.initial["name"]}
    return render(request, "webhooks/webhook_form.html", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_remove(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    webhook = _get_webhook(account_id, webhook_id)
    if request.method == "POST":
        webhook.remove(by=request.user)
        messages.success(request, _("“%(name)s” was removed.") % {"name": webhook.name})
        return redirect("webhooks:webhook_list", account_id)
    return render(request, "webhooks/webhook_remove.html", _tab_context(membership) | {"webhook": webhook})


def _posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _tab_context(membership: Membership) -> dict[str, Any]:
    return {"account": membership.account, "membership": membership, "active_tab": "webhooks"}


def _get_webhook(account_id: UUID, webhook_id: UUID) -> Webhook:
    return get_object_or_404(Webhook.objects.present().without_secrets(), account=account_id, pk=webhook_id)


def _listed_webhooks(account_id: UUID) -> QuerySet[Webhook]:
    event_types = EventType.objects.only("key").order_by("key")
    return (
        Webhook.objects.present()
        .without_secrets()
        .filter(account=account_id)
        .select_related("disabled_by")
        .prefetch_related(Prefetch("event_types", event_types))
    )


def _pop_created_webhook(request: HttpRequest, account_id: UUID) -> Webhook | None:
    """Return the webhook whose secret is to be shown, and forget that it is; a later request gets None."""
    # A HEAD shows nothing to anybody.
    if request.method != "GET" or SESSION_KEY not in request.session:
        return None
    webhook = Webhook.objects.present().filter(account=account_id, pk=request.session[SESSION_KEY]).first()
    if webhook:
        del request.session[SESSION_KEY]
    return webhook


def _change(webhook: Webhook, form: WebhookUpdateForm, user: User) -> None:
    changed = {name: value for name, value in form.cleaned_data.items() if name != "account"}
    webhook.change(**changed, by=user)
