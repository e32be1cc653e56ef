import secrets
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

# The ids of webhooks whose secret the list of their account has yet to show. Never the secrets themselves.
CREATED_KEY = "webhooks_created"
# Those whose secret the last list showed, and what the language switch of that page, and no other page, hands back.
SHOWN_KEY = "webhooks_shown"


@login_required
@never_cache
@require_safe
def webhook_list(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    may_manage = may_manage_webhooks(membership)
    created = _pop_created_webhooks(request, account_id) if may_manage else []
    context = _tab_context(membership) | {
        "may_manage": may_manage,
        "webhooks": _listed_webhooks(account_id),
        "created_webhooks": created,
    }
    if created:
        context["return_to"] = f"{request.path}?shown={request.session[SHOWN_KEY]['token']}"
    return render(request, "webhooks/webhook_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_create(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    form = WebhookForm(_posted(request), user=request.user, initial={"account": membership.account})
    if form.is_valid():
        webhook = Webhook.objects.register(**form.cleaned_data, by=request.user)
        request.session[CREATED_KEY] = [*request.session.get(CREATED_KEY, []), str(webhook.pk)]
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


def _pop_created_webhooks(request: HttpRequest, account_id: UUID) -> list[Webhook]:
    """Return the webhooks whose secret is to be shown, and forget that it is.

    A later request gets none of them, but for the one with which the page that shows them changes its language.
    """
    # A HEAD shows nothing to anybody.
    if request.method != "GET" or not {CREATED_KEY, SHOWN_KEY} & set(request.session.keys()):
        return []
    waiting = request.session.pop(CREATED_KEY, [])
    shown = request.session.pop(SHOWN_KEY, {})
    again = shown["ids"] if shown and request.GET.get("shown") == shown["token"] else []
    webhooks = list(Webhook.objects.present().filter(account=account_id, pk__in=[*again, *waiting]).order_by("pk"))
    ids = [str(webhook.pk) for webhook in webhooks]
    if rest := [pk for pk in waiting if pk not in ids]:
        request.session[CREATED_KEY] = rest
    if ids:
        request.session[SHOWN_KEY] = {"ids": ids, "token": secrets.token_urlsafe(16)}
    return webhooks


def _change(webhook: Webhook, form: WebhookUpdateForm, user: User) -> None:
    changed = {name: value for name, value in form.cleaned_data.items() if name != "account"}
    webhook.change(**changed, by=user)
