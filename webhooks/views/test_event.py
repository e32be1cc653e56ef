from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import limits
from accounts.access import SignedInRequest, get_rw_membership
from webhooks import test_events
from webhooks.events import MAX_ENVELOPE_BYTES, InvalidPayload, PayloadTooLarge
from webhooks.forms import TestEventForm
from webhooks.models import Delivery, Webhook
from webhooks.readable import readable_body
from webhooks.views.delivery import ShownAttempt


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def test_event(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Show a form with an example of the event type in the query; sent, show what came of it above the form."""
    membership = get_rw_membership(request.user, account_id)
    webhook = get_object_or_404(Webhook.objects.present().without_secrets(), account=account_id, pk=webhook_id)
    if request.method == "POST" and "load" in request.POST:
        query = urlencode({"type": request.POST.get("type", "")})
        return redirect(f"{reverse('webhooks:test_event', args=[account_id, webhook_id])}?{query}")
    if request.method == "POST":
        form = TestEventForm(request.POST, webhook=webhook)
    else:
        form = TestEventForm(webhook=webhook, type=request.GET.get("type", ""))
    context = {
        "account": membership.account,
        "membership": membership,
        "active_tab": "webhooks",
        "webhook": webhook,
        "form": form,
    }
    try:
        delivery = _send(form, webhook, request) if form.is_valid() else None
    except limits.TooMany as error:
        form.add_error(None, str(error))
        return limits.refused(render(request, "webhooks/test_event.html", context), error)
    if delivery:
        form.renew_key()
        context |= {
            "delivery": delivery,
            "event": delivery.event,
            "attempts": [ShownAttempt(attempt) for attempt in delivery.attempts.order_by("-number")[:1]],
            "request_body": readable_body(bytes(delivery.event.body)),
            "request_size": len(delivery.event.body),
        }
    return render(request, "webhooks/test_event.html", context)


def _send(form: TestEventForm, webhook: Webhook, request: SignedInRequest) -> Delivery | None:
    """Send what the form says; None where it cannot be sent, and then the form says why."""
    sent = form.cleaned_data
    try:
        with_secrets = Webhook.objects.get(pk=webhook.pk)
        return test_events.send(with_secrets, sent["type"], sent["object"], by=request.user, key=sent["key"])
    except ImproperlyConfigured:
        form.add_error(None, _("The signing secret of this webhook cannot be read, so nothing can be signed."))
    except PayloadTooLarge:
        form.add_error(
            "object",
            _("With its envelope it has more than %(limit)d KB, which is the most that is sent.")
            % {"limit": MAX_ENVELOPE_BYTES // 1024},
        )
    except InvalidPayload:
        form.add_error("object", _("This is not JSON that every receiver can read."))
    return None
