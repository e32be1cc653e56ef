import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from webhooks import wake
from webhooks.admin.filters import DeliveryFilter, EventFilter, WebhookFilter
from webhooks.models import Attempt, Delivery
from webhooks.models.delivery import DeliveryQuerySet
from winkhooks.admin import LogAdmin, RecentFilter, change_link, list_link, preformatted


def header_lines(headers: Any) -> SafeString | str:
    """Return headers, which are pairs of name and value, a line each."""
    try:
        return preformatted("\n".join(f"{name}: {value}" for name, value in headers))
    except (TypeError, ValueError):
        return preformatted(json.dumps(headers, ensure_ascii=False, indent=2))


class AttemptInline(admin.TabularInline):  # type: ignore[type-arg]  # has no type parameters when it runs
    model = Attempt
    fields = ("number", "started_at", "duration_ms", "http_status", "error", "error_text", "remote_address")
    readonly_fields = fields
    ordering = ("number",)
    show_change_link = True
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("request_headers", "response_headers", "response_snippet")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Delivery)
class DeliveryAdmin(LogAdmin):
    list_display = (
        "id",
        "event_link",
        "webhook_link",
        "status",
        "attempt_count",
        "last_http_status",
        "next_attempt_at",
        "end_reason",
        "account_link",
    )
    list_filter = (WebhookFilter, EventFilter, "status", "end_reason", RecentFilter)
    list_select_related = False
    search_ids = ("id", "event__id", "webhook__id")
    search_help_text = _("The beginning of the id of a delivery, an event or a webhook.")
    fields = (
        "id",
        "event",
        "webhook",
        "account_link",
        "url",
        "status",
        "end_reason",
        "attempts_link",
        "budget_start",
        "last_http_status",
        "next_attempt_at",
        "leased_until",
        "created_at",
        "finished_at",
    )
    inlines = (AttemptInline,)
    actions = ("redeliver", "retry_now", "cancel")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .get_queryset(request)
            .select_related("event", "webhook__account")
            .defer("event__body", "webhook__secret", "webhook__previous_secret")
        )

    def has_work_permission(self, request: HttpRequest) -> bool:
        """Tell who may run the actions; the rows themselves are a log that nobody changes by hand."""
        return request.user.has_perm("webhooks.change_delivery")

    @admin.action(description=_("Redeliver"), permissions=["work"])
    def redeliver(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        selected = queryset.count()
        changed = queryset.redeliver()
        wake.ring_on_commit()
        self.tell(
            request,
            messages.SUCCESS,
            ngettext("%(count)d delivery will be sent again.", "%(count)d deliveries will be sent again.", changed),
            changed,
        )
        left = selected - changed
        self.tell(
            request,
            messages.WARNING,
            ngettext(
                "%(count)d delivery was left as it is: it has not ended yet, or its webhook was removed.",
                "%(count)d deliveries were left as they are: they have not ended yet, or their webhook was removed.",
                left,
            ),
            left,
        )

    @admin.action(description=_("Retry now"), permissions=["work"])
    def retry_now(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        selected = queryset.count()
        changed = queryset.retry_now()
        wake.ring_on_commit()
        self.tell(
            request,
            messages.SUCCESS,
            ngettext("%(count)d delivery will be tried now.", "%(count)d deliveries will be tried now.", changed),
            changed,
        )
        self._tell_ended(request, selected - changed)

    @admin.action(description=_("Cancel"), permissions=["work"])
    def cancel(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        selected = queryset.count()
        changed = queryset.cancel(Delivery.EndReason.BY_USER)
        self.tell(
            request,
            messages.SUCCESS,
            ngettext("%(count)d delivery was cancelled.", "%(count)d deliveries were cancelled.", changed),
            changed,
        )
        self._tell_ended(request, selected - changed)

    def _tell_ended(self, request: HttpRequest, count: int) -> None:
        text = ngettext(
            "%(count)d delivery was left as it is: it has ended already.",
            "%(count)d deliveries were left as they are: they have ended already.",
            count,
        )
        self.tell(request, messages.WARNING, text, count)

    @admin.display(description=_("event"))
    def event_link(self, delivery: Delivery) -> SafeString:
        return change_link(delivery.event, delivery.event.type_id)

    @admin.display(description=_("webhook"))
    def webhook_link(self, delivery: Delivery) -> SafeString:
        return change_link(delivery.webhook, delivery.webhook)

    @admin.display(description=_("account"))
    def account_link(self, delivery: Delivery) -> SafeString:
        return change_link(delivery.webhook.account, delivery.webhook.account)

    @admin.display(description=_("attempts"))
    def attempts_link(self, delivery: Delivery) -> SafeString:
        return list_link(Attempt, delivery.attempt_count, delivery=delivery.pk)


@admin.register(Attempt)
class AttemptAdmin(LogAdmin):
    list_display = (
        "id",
        "delivery_link",
        "number",
        "started_at",
        "duration_ms",
        "http_status",
        "error",
        "remote_address",
    )
    list_filter = (DeliveryFilter, "error", RecentFilter)
    search_ids = ("id", "delivery__id")
    search_help_text = _("The beginning of the id of an attempt or a delivery.")
    fields = (
        "id",
        "delivery",
        "number",
        "started_at",
        "duration_ms",
        "lookup_ms",
        "connect_ms",
        "tls_ms",
        "wait_ms",
        "http_status",
        "error",
        "error_text",
        "remote_address",
        "request_headers_text",
        "response_headers_text",
        "response_snippet_text",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("request_headers", "response_headers", "response_snippet")

    @admin.display(description=_("delivery"))
    def delivery_link(self, attempt: Attempt) -> SafeString:
        return change_link(Delivery(pk=attempt.delivery_id), attempt.delivery_id)

    @admin.display(description=_("request headers"))
    def request_headers_text(self, attempt: Attempt) -> SafeString | str:
        return header_lines(attempt.request_headers)

    @admin.display(description=_("response headers"))
    def response_headers_text(self, attempt: Attempt) -> SafeString | str:
        return header_lines(attempt.response_headers)

    @admin.display(description=_("response snippet"))
    def response_snippet_text(self, attempt: Attempt) -> SafeString | str:
        return preformatted(bytes(attempt.response_snippet).decode(errors="backslashreplace"))
