from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch, Q, prefetch_related_objects
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import limits
from accounts.access import SignedInRequest, get_membership, get_rw_membership, may_manage_webhooks
from accounts.models import Membership, User
from webhooks import figures
from webhooks.filters import WebhookFilter
from webhooks.forms import WebhookForm, WebhookUpdateForm
from webhooks.models import Delivery, EventType, StaleVersion, Webhook
from webhooks.models.webhook import WebhookQuerySet
from webhooks.standing import standing_of, with_standing
from webhooks.views import new_secrets
from webhooks.views.missed import tell_of_missed
from winkhooks.paging import key_in

PAGE = 15
# With more webhooks than these the list can be searched.
SEARCHED_FROM = 11


@login_required
@require_safe
def webhook_list(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    may_manage = may_manage_webhooks(membership)
    webhooks = Webhook.objects.present().filter(account=account_id)
    created = new_secrets.pop(request, webhooks) if may_manage else []
    webhook_count = webhooks.count()
    filter_form = WebhookFilter(request.GET)
    found = _filtered(webhooks, filter_form)
    page, previous_key, next_key = _page_of(
        found.without_secrets().select_related("disabled_by"), account_id, request.GET
    )
    context = tab_context(membership) | {
        "may_manage": may_manage,
        "webhook_count": webhook_count,
        "cards": _cards(page),
        "previous_key": previous_key,
        "next_key": next_key,
        "created_webhooks": created,
        "here": _here(request),
    }
    filtered = bool(filter_form.has_changed())
    if filtered or webhook_count >= SEARCHED_FROM:
        context |= {"filter_form": filter_form, "filtered": filtered}
    if filtered:
        context["found_count"] = found.count()
    if created:
        context["return_to"] = new_secrets.return_to(request)
    return render(request, "webhooks/webhook_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_create(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    form = WebhookForm(_posted(request), user=request.user, initial={"account": membership.account})
    if form.is_valid():
        try:
            webhook = Webhook.objects.register(**form.cleaned_data, by=request.user)
        except limits.TooLarge as error:
            form.add_error(None, str(error))
        else:
            new_secrets.show_next(request, webhook)
            messages.success(request, _("“%(name)s” was created.") % {"name": webhook.name})
            return redirect("webhooks:webhook_list", webhook.account_id)
    return render(request, "webhooks/webhook_form.html", tab_context(membership) | {"form": form})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_update(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    webhook = get_webhook(account_id, webhook_id)
    disabled_at = webhook.disabled_at
    form = WebhookUpdateForm(_posted(request), user=request.user, instance=webhook)
    status = 200
    if form.is_valid():
        try:
            _change(webhook, form, request.user)
        except StaleVersion:
            form.start_from(get_webhook(account_id, webhook_id))
            status = 409
        else:
            messages.success(request, _("“%(name)s” was saved.") % {"name": webhook.name})
            tell_of_missed(request, webhook, disabled_at)
            return redirect("webhooks:webhook_list", account_id)
    context = tab_context(membership) | {"form": form, "webhook_name": form.initial["name"]}
    return render(request, "webhooks/webhook_form.html", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_remove(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    webhook = get_webhook(account_id, webhook_id)
    if request.method == "POST":
        webhook.remove(by=request.user)
        messages.success(request, _("“%(name)s” was removed.") % {"name": webhook.name})
        return redirect("webhooks:webhook_list", account_id)
    return render(request, "webhooks/webhook_remove.html", tab_context(membership) | {"webhook": webhook})


def tab_context(membership: Membership) -> dict[str, Any]:
    return {"account": membership.account, "membership": membership, "active_tab": "webhooks"}


def get_webhook(account_id: UUID, webhook_id: UUID) -> Webhook:
    """Return a webhook that can be changed, without its secrets; 404 where there is none."""
    return get_object_or_404(Webhook.objects.present().without_secrets(), account=account_id, pk=webhook_id)


def _posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _here(request: HttpRequest) -> str:
    """Return where an action on a card leads back to: the same page, without what would show a secret again."""
    query = request.GET.copy()
    query.pop("shown", None)
    return f"{request.path}?{query.urlencode()}" if query else request.path


def _filtered(webhooks: WebhookQuerySet, form: WebhookFilter) -> WebhookQuerySet:
    form.full_clean()
    for word in form.cleaned_data.get("q", "").split():
        webhooks = webhooks.filter(Q(name__icontains=word) | Q(url__icontains=word))
    if state := form.cleaned_data.get("state"):
        webhooks = with_standing(webhooks, state, timezone.now())
    return webhooks


def _page_of(
    webhooks: WebhookQuerySet, account_id: UUID, query: QueryDict
) -> tuple[list[Webhook], UUID | None, UUID | None]:
    """Return a page by name, and the keys at which the previous and the next one begin, if there are any."""
    before, after = key_in(query, "before"), key_in(query, "after")
    # One that was removed meanwhile still says where the page begins.
    keys = Webhook.objects.filter(account=account_id, pk__in=[after or before]).only("name")
    key = keys.first() if after or before else None
    if key is None:
        page = list(webhooks[: PAGE + 1])
        return page[:PAGE], None, page[PAGE - 1].pk if len(page) > PAGE else None
    if after:
        page = list(webhooks.filter(Q(name__gt=key.name) | Q(name=key.name, pk__gt=key.pk))[: PAGE + 1])
        shown = page[:PAGE]
        return shown, shown[0].pk if shown else key.pk, shown[-1].pk if len(page) > PAGE else None
    page = list(
        webhooks.filter(Q(name__lt=key.name) | Q(name=key.name, pk__lt=key.pk)).order_by("-name", "-pk")[: PAGE + 1]
    )
    if len(page) <= PAGE:
        return _page_of(webhooks, account_id, QueryDict())
    shown = page[PAGE - 1 :: -1]
    return shown, shown[0].pk, shown[-1].pk


def _cards(webhooks: list[Webhook]) -> list[dict[str, Any]]:
    """Return what the cards show, in a number of queries that does not depend on how many there are."""
    ids = [webhook.pk for webhook in webhooks]
    event_types = EventType.objects.only("key").order_by("key")
    now = timezone.now()
    bars = figures.last_days(webhooks)
    last_deliveries = Delivery.objects.last_of(ids)
    prefetch_related_objects(webhooks, Prefetch("event_types", event_types))
    return [
        {
            "webhook": webhook,
            "state": standing_of(webhook, now),
            "figures": bars[webhook.pk],
            "figures_follow": bars[webhook.pk].follow(last_deliveries.get(webhook.pk)),
            "last_delivery": last_deliveries.get(webhook.pk),
        }
        for webhook in webhooks
    ]


def _change(webhook: Webhook, form: WebhookUpdateForm, user: User) -> None:
    changed = {name: value for name, value in form.cleaned_data.items() if name != "account"}
    webhook.change(**changed, by=user)
