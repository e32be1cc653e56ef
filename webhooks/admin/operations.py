"""The page of operations: how the work is going, with links into the lists that show it."""

from dataclasses import dataclass
from typing import Any

import structlog
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from webhooks import operations
from webhooks import workers as celery_workers
from webhooks.events import Ledger
from webhooks.health import Health
from webhooks.models import Delivery, Event, Webhook
from winkhooks.admin import list_url

logger = structlog.get_logger(__name__)

LEDGER_SECONDS = 5
# Closing the connection takes up to 0.3 s more.
ASKING_SECONDS = 0.5


@dataclass(frozen=True)
class Figure:
    label: str
    count: int
    url: str = ""
    """Where the rows are listed that it counts; empty for whoever may not see them."""
    hint: str = ""


def may_look(request: HttpRequest) -> bool:
    return admin.site.get_model_admin(Delivery).has_view_permission(request)


def list_entry() -> dict[str, Any]:
    """Return the page as the administration has models in its lists of them."""
    return {
        "name": _("Operations"),
        "object_name": "Operations",
        "admin_url": reverse("admin:webhooks_operations"),
        "add_url": None,
        "view_only": True,
        "perms": {"add": False, "change": False, "delete": False, "view": True},
    }


@require_http_methods(["GET", "HEAD", "POST"])
def overview(request: HttpRequest) -> HttpResponse:
    """Show how the work is going; where it is posted to, the ledger too, which reads whole tables."""
    if not may_look(request):
        raise PermissionDenied
    queue, latest = operations.count_queue(), operations.count_latest()
    context = {
        "now": timezone.now(),
        "queue": queue,
        "queue_figures": _queue_figures(request, queue),
        "new_events": operations.count_new_events(),
        "new_events_url": _url(request, Event, status__exact=Event.Status.NEW),
        "waits": operations.longest_waits(),
        "may_see_webhooks": _may_see(request, Webhook),
        "latest": latest,
        "latest_figures": _latest_figures(request, latest),
        "webhook_figures": _webhook_figures(request, operations.count_webhooks()),
        "limits": {"queue": operations.QUEUE_LIMIT, "latest": operations.LATEST_LIMIT, "seconds": LEDGER_SECONDS},
    }
    if request.method == "POST":
        try:
            context["ledger"] = ledger = operations.ledger_within(LEDGER_SECONDS)
        except operations.TookTooLong:
            context["took_too_long"] = True
        else:
            context["ledger_figures"] = _ledger_figures(ledger)
    return _page(request, "admin/webhooks/operations.html", context)


@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """Show which workers answer; a page of its own, so that the other one waits neither for them nor the broker."""
    if not may_look(request):
        raise PermissionDenied
    context: dict[str, Any] = {"asked": True}
    try:
        context["answers"] = celery_workers.ask(ASKING_SECONDS)
    except celery_workers.BrokerDown as error:
        logger.warning("broker_unreachable", error=str(error))
    return _page(request, "admin/webhooks/workers.html", context)


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    site = {**admin.site.each_context(request), "title": _("Operations"), "opts": Delivery._meta}
    return render(request, template, site | context)


def _may_see(request: HttpRequest, model: type[Model]) -> bool:
    return admin.site.get_model_admin(model).has_view_permission(request)


def _url(request: HttpRequest, model: type[Model], **filters: object) -> str:
    return list_url(model, **filters) if _may_see(request, model) else ""


def _queue_figures(request: HttpRequest, queue: operations.Queue) -> list[Figure]:
    taken_over = _("The worker that had them died or is cut off; another one takes them over.")
    return [
        Figure(_("Due now"), queue.due, _url(request, Delivery, queue="due")),
        Figure(_("Under way"), queue.under_way, _url(request, Delivery, queue="under_way")),
        Figure(_("Due later"), queue.later, _url(request, Delivery, queue="later")),
        Figure(_("Leases overdue"), queue.leases_overdue, _url(request, Delivery, queue="leases_overdue"), taken_over),
        _by_status(request, Delivery.Status.PENDING, queue.pending),
        _by_status(request, Delivery.Status.RETRYING, queue.retrying),
    ]


def _latest_figures(request: HttpRequest, latest: operations.Latest) -> list[Figure]:
    return [
        _by_status(request, Delivery.Status.SUCCEEDED, latest.succeeded, made="day"),
        _by_status(request, Delivery.Status.DEAD, latest.dead, made="day"),
        _by_status(request, Delivery.Status.CANCELLED, latest.cancelled, made="day"),
    ]


def _by_status(request: HttpRequest, status: Delivery.Status, count: int, **filters: str) -> Figure:
    return Figure(str(status.label), count, _url(request, Delivery, status__exact=status, **filters))


def _webhook_figures(request: HttpRequest, counts: operations.WebhookCounts) -> list[tuple[str, list[Figure]]]:
    enabled = [
        Figure(str(health.label), counts.by_health[health], _url(request, Webhook, health=health))
        for health in (Health.HEALTHY, Health.FAILING, Health.RESTING)
    ]
    disabled = [
        Figure(
            str(reason.label),
            counts.disabled[reason],
            _url(request, Webhook, state="disabled", disabled_reason__exact=reason),
        )
        for reason in Webhook.DisabledReason
    ]
    return [(_("Enabled"), enabled), (_("Disabled"), disabled)]


def _ledger_figures(ledger: Ledger) -> list[tuple[str, list[Figure]]]:
    return [
        (_("Events"), [Figure(str(status.label), ledger.events.get(status, 0)) for status in Event.Status]),
        (_("Deliveries"), [Figure(str(status.label), ledger.deliveries.get(status, 0)) for status in Delivery.Status]),
        (_("Attempts"), [Figure(_("All"), ledger.attempts)]),
    ]
