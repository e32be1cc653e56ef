from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, action, get_rw_membership
from webhooks.models import Webhook
from webhooks.views.missed import tell_of_missed
from webhooks.views.query import next_url
from webhooks.views.webhook import get_webhook, tab_context


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_disable(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    webhook = get_webhook(account_id, webhook_id)
    back = next_url(request, reverse("webhooks:webhook_detail", args=[account_id, webhook_id]))
    if request.method == "POST":
        webhook.disable(Webhook.DisabledReason.BY_USER, by=request.user)
        messages.success(request, _("“%(name)s” was disabled.") % {"name": webhook.name})
        return redirect(back)
    return render(
        request, "webhooks/webhook_disable.html", tab_context(membership) | {"webhook": webhook, "back": back}
    )


@login_required
@action("webhooks:webhook_detail", "account_id", "webhook_id")
def webhook_enable(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    get_rw_membership(request.user, account_id)
    webhook = get_webhook(account_id, webhook_id)
    disabled_at = webhook.disabled_at
    webhook.enable(by=request.user)
    messages.success(request, _("“%(name)s” was enabled.") % {"name": webhook.name})
    tell_of_missed(request, webhook, disabled_at)
    return redirect(next_url(request, reverse("webhooks:webhook_detail", args=[account_id, webhook_id])))
