from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import limits
from accounts.access import SignedInRequest, action, get_membership, get_rw_membership, may_manage_webhooks
from accounts.models import Membership
from webhooks import wake
from webhooks.curl_command import curl_command
from webhooks.diagnosis import Phase, duration_text, meaning_of, phases_of, title_of
from webhooks.engine.outcome import BUDGET
from webhooks.engine.transport import MAX_SNIPPET_BYTES
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.models.delivery import DeliveryQuerySet
from webhooks.readable import Readable, readable_body, visible, visible_headers
from webhooks.signing import TOLERANCE_SECONDS

ATTEMPTS_A_PAGE = 20


@dataclass(frozen=True)
class ShownAttempt:
    """An attempt as the page shows it. What the receiver wrote is in it as text that does nothing."""

    attempt: Attempt

    @property
    def html_id(self) -> str:
        return f"attempt-{self.attempt.number}"

    @property
    def succeeded(self) -> bool:
        return self.attempt.http_status is not None and 200 <= self.attempt.http_status < 300

    @property
    def title(self) -> str:
        return title_of(self.attempt)

    @property
    def meaning(self) -> Promise:
        return meaning_of(self.attempt)

    @property
    def error_text(self) -> str:
        return visible(self.attempt.error_text)

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        is_redirect = self.attempt.http_status is not None and 300 <= self.attempt.http_status < 400
        return visible(self._header("location")) if is_redirect else ""

    @property
    def duration(self) -> str:
        return duration_text(self.attempt.duration_ms)

    @cached_property
    def phases(self) -> list[Phase]:
        return phases_of(self.attempt)

    @property
    def kept_connection(self) -> bool:
        return self.attempt.lookup_ms is None and self.attempt.wait_ms is not None

    @property
    def request_headers(self) -> str:
        return visible_headers(self.attempt.request_headers)

    @property
    def response_headers(self) -> str:
        return visible_headers(self.attempt.response_headers)

    @cached_property
    def response_body(self) -> Readable:
        return readable_body(bytes(self.attempt.response_snippet), self._header("content-type"))

    @property
    def response_size(self) -> int:
        return len(self.attempt.response_snippet)

    @property
    def response_is_cut(self) -> bool:
        return self.response_size >= MAX_SNIPPET_BYTES

    def _header(self, name: str) -> str:
        return next((value for key, value in self.attempt.response_headers if key.lower() == name), "")


@login_required
@require_safe
def delivery_detail(request: SignedInRequest, account_id: UUID, webhook_id: UUID, delivery_id: UUID) -> HttpResponse:
    membership = get_membership(request.user, account_id)
    delivery = _get_delivery(account_id, webhook_id, delivery_id)
    context = _page_context(membership, delivery, request.GET.get("before", ""))
    return render(request, "webhooks/delivery_detail.html", context)


@login_required
@action("webhooks:delivery_detail", "account_id", "webhook_id", "delivery_id")
def delivery_retry(request: SignedInRequest, account_id: UUID, webhook_id: UUID, delivery_id: UUID) -> HttpResponse:
    if _send_again(request, _get_changeable(request, account_id, webhook_id, delivery_id).retry_now):
        wake.ring_on_commit()
        messages.success(request, _when_retried(_get_delivery(account_id, webhook_id, delivery_id)))
    else:
        messages.warning(request, _("The delivery has ended already, so it will not be tried now."))
    return redirect("webhooks:delivery_detail", account_id, webhook_id, delivery_id)


@login_required
@action("webhooks:delivery_detail", "account_id", "webhook_id", "delivery_id")
def delivery_cancel(request: SignedInRequest, account_id: UUID, webhook_id: UUID, delivery_id: UUID) -> HttpResponse:
    if _get_changeable(request, account_id, webhook_id, delivery_id).cancel(Delivery.EndReason.BY_USER):
        messages.success(
            request,
            _("The delivery was cancelled. If a request is under way and the receiver takes it, that still counts."),
        )
    else:
        messages.warning(request, _("The delivery has ended already, so there is nothing to cancel."))
    return redirect("webhooks:delivery_detail", account_id, webhook_id, delivery_id)


@login_required
@action("webhooks:delivery_detail", "account_id", "webhook_id", "delivery_id")
def delivery_redeliver(request: SignedInRequest, account_id: UUID, webhook_id: UUID, delivery_id: UUID) -> HttpResponse:
    if _send_again(request, _get_changeable(request, account_id, webhook_id, delivery_id).redeliver):
        wake.ring_on_commit()
        messages.success(request, _("The delivery will be sent again, with ten more attempts."))
    else:
        messages.warning(request, _why_not_redelivered(_get_delivery(account_id, webhook_id, delivery_id)))
    return redirect("webhooks:delivery_detail", account_id, webhook_id, delivery_id)


@login_required
@action("webhooks:delivery_detail", "account_id", "webhook_id", "delivery_id")
def delivery_curl(request: SignedInRequest, account_id: UUID, webhook_id: UUID, delivery_id: UUID) -> HttpResponse:
    """Show the delivery with a command that sends it: signed with the secret, which nobody gets to see."""
    membership = get_rw_membership(request.user, account_id)
    delivery = _get_delivery(account_id, webhook_id, delivery_id)
    try:
        webhook = Webhook.objects.present().get(pk=webhook_id)
    except Webhook.DoesNotExist:
        messages.warning(request, _("The webhook was removed, and its signing secret with it: nothing can be signed."))
    except ImproperlyConfigured:
        messages.error(request, _("The signing secret of this webhook cannot be read, so nothing can be signed."))
    else:
        context = _page_context(membership, delivery) | {
            "curl_command": curl_command(delivery, webhook),
            "return_to": reverse("webhooks:delivery_detail", args=[account_id, webhook_id, delivery_id]),
        }
        return render(request, "webhooks/delivery_detail.html", context)
    return redirect("webhooks:delivery_detail", account_id, webhook_id, delivery_id)


def _get_delivery(account_id: UUID, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    """Return the delivery with its event and its webhook, removed or not; 404 where the account has no such one."""
    deliveries = Delivery.objects.select_related("event__type", "webhook").defer(
        "event__type__schema", "event__type__example", "webhook__secret", "webhook__previous_secret"
    )
    return get_object_or_404(deliveries, pk=delivery_id, webhook=webhook_id, webhook__account=account_id)


def _send_again(request: SignedInRequest, send: Callable[[], int]) -> int:
    """Do it, unless that person has done so many times lately; then raise TooMany."""
    with transaction.atomic():
        limits.check(limits.REDELIVERIES, request.user)
        return send()


def _get_changeable(
    request: SignedInRequest, account_id: UUID, webhook_id: UUID, delivery_id: UUID
) -> DeliveryQuerySet:
    """Return the delivery as what is to be updated, for those who may; the conditions of the update then decide."""
    get_rw_membership(request.user, account_id)
    delivery = get_object_or_404(
        Delivery.objects.only("pk"), pk=delivery_id, webhook=webhook_id, webhook__account=account_id
    )
    return Delivery.objects.filter(pk=delivery.pk)


def _when_retried(delivery: Delivery) -> str:
    if delivery.waits_for_another():
        return _(
            "The webhook failed many times in a row, so it gets one delivery at a time, and another one goes first. If "
            "the receiver takes that one, this one follows; otherwise the webhook rests again before."
        )
    return _("The delivery will be tried now.")


def _why_not_redelivered(delivery: Delivery) -> str:
    if delivery.webhook.removed_at:
        return _("The webhook was removed, so the delivery cannot be sent again.")
    if not delivery.webhook.enabled:
        return _("The webhook is disabled, so the delivery cannot be sent again. Enable the webhook first.")
    return _("The delivery has not ended yet: it will be tried anyway.")


def _page_context(membership: Membership, delivery: Delivery, before: str = "") -> dict[str, Any]:
    attempts = delivery.attempts.order_by("-number")
    # What is no number, or one that no attempt has, leads to the newest.
    first = int(before) if before.isascii() and before.isdigit() and len(before) < 10 else 0
    found = list((attempts.filter(number__lt=first) if first else attempts)[: ATTEMPTS_A_PAGE + 1])
    shown = found[:ATTEMPTS_A_PAGE]
    now = timezone.now()
    return {
        "account": membership.account,
        "membership": membership,
        "active_tab": "webhooks",
        "may_manage": may_manage_webhooks(membership),
        "webhook": delivery.webhook,
        "event": delivery.event,
        "delivery": delivery,
        "is_due": delivery.next_attempt_at is not None and delivery.next_attempt_at <= now,
        "is_taken": delivery.leased_until is not None and delivery.leased_until > now,
        "rests": delivery.webhook.cooling_until is not None and delivery.webhook.cooling_until > now,
        "tries": delivery.attempt_count - delivery.budget_start,
        "budget": 1 if delivery.event.is_test else BUDGET,
        "request_body": readable_body(bytes(delivery.event.body)),
        "request_size": len(delivery.event.body),
        "attempts": [ShownAttempt(attempt) for attempt in shown],
        "earlier_than": shown[-1].number if len(found) > ATTEMPTS_A_PAGE else None,
        "later": bool(first),
        "tolerance_minutes": TOLERANCE_SECONDS // 60,
    }
