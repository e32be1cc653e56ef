from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import limits
from accounts.access import SignedInRequest, action, get_membership, get_rw_membership, may_manage_webhooks
from accounts.models import Membership
from webhooks import recovery as recoveries
from webhooks.models import Recovery, Webhook
from webhooks.recovery_form import RecoveryForm
from webhooks.standing import Standing, standing_of

SAMPLE = 5
LATEST = 10


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def recovery_create(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Ask what to send; with that in the query show what it would be; start it with a POST of the same."""
    membership = get_rw_membership(request.user, account_id)
    webhook = _get_webhook(account_id, webhook_id)
    form = RecoveryForm(request.POST or request.GET or None, webhook=webhook)
    context = _tab_context(membership, webhook) | {"form": form}
    if not form.is_valid() or "change" in request.GET:
        context["latest"] = webhook.recoveries.recent(LATEST)
        return render(request, "webhooks/recovery_form.html", context)
    span = (form.cleaned_data["kind"], form.cleaned_data["since"], form.cleaned_data["until"])
    if request.method == "POST":
        try:
            recovery = recoveries.start(webhook, *span, by=request.user)
        except recoveries.AlreadyRunning:
            pass
        except limits.TooMany as error:
            context |= _preview(webhook, *span) | {"refusal": str(error)}
            return limits.refused(render(request, "webhooks/recovery_preview.html", context), error)
        else:
            messages.success(request, _("The recovery was started."))
            return redirect("webhooks:recovery_detail", account_id, webhook_id, recovery.pk)
    return render(request, "webhooks/recovery_preview.html", context | _preview(webhook, *span))


@login_required
@require_safe
def recovery_detail(request: SignedInRequest, account_id: UUID, webhook_id: UUID, recovery_id: UUID) -> HttpResponse:
    """Show how far it is. The page of a removed webhook's stays; it offers nothing any more."""
    membership = get_membership(request.user, account_id)
    recovery = _get_recovery(account_id, webhook_id, recovery_id)
    standing = recovery.standing()
    webhook = Webhook.objects.without_secrets().get(pk=webhook_id)
    context = _tab_context(membership, webhook) | {
        "recovery": recovery,
        "standing": standing,
        "ended": recovery.total - standing.left - standing.waiting,
        # Whoever sees that it arrives wonders why the webhook fails.
        "still_failing": standing.arrived
        and standing_of(webhook, timezone.now()) in (Standing.FAILING, Standing.RESTING),
        "may_cancel": recovery.is_running and may_manage_webhooks(membership),
    }
    return render(request, "webhooks/recovery_detail.html", context)


@login_required
@action("webhooks:recovery_detail", "account_id", "webhook_id", "recovery_id")
def recovery_cancel(request: SignedInRequest, account_id: UUID, webhook_id: UUID, recovery_id: UUID) -> HttpResponse:
    get_rw_membership(request.user, account_id)
    recovery = _get_recovery(account_id, webhook_id, recovery_id)
    if recoveries.cancel(recovery, by=request.user):
        messages.success(request, _("The recovery was cancelled."))
    else:
        messages.warning(request, _("The recovery had ended already."))
    return redirect("webhooks:recovery_detail", account_id, webhook_id, recovery_id)


def _get_webhook(account_id: UUID, webhook_id: UUID) -> Webhook:
    return get_object_or_404(Webhook.objects.present().without_secrets(), account=account_id, pk=webhook_id)


def _get_recovery(account_id: UUID, webhook_id: UUID, recovery_id: UUID) -> Recovery:
    people = Recovery.objects.select_related("requested_by", "cancelled_by")
    return get_object_or_404(people, webhook__account=account_id, webhook=webhook_id, pk=recovery_id)


def _tab_context(membership: Membership, webhook: Webhook) -> dict[str, Any]:
    return {
        "account": membership.account,
        "membership": membership,
        "active_tab": "webhooks",
        "webhook": webhook,
    }


def _preview(webhook: Webhook, kind: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Return how much there is, and the first of it."""
    count, counted_until = recoveries.count_soon(webhook, kind, since, until)
    return {
        "count": count,
        "counted_until": counted_until,
        # What was not looked at may have some.
        "has_some": count > 0 or counted_until is not None,
        "most": recoveries.MOST,
        "is_too_much": count > recoveries.MOST,
        "sample": recoveries.sample(webhook, kind, since, counted_until or until, SAMPLE),
        "since": max(since, recoveries.oldest_kept()),
        "until": until,
        "running": webhook.recoveries.unfinished().filter(kind=kind).first(),
    }
