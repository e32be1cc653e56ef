import json
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from webhooks import wake
from webhooks.admin.filters import DeliveryFilter, EventFilter, WebhookFilter
from webhooks.diagnosis import title_of
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.models.delivery import DeliveryQuerySet
from webhooks.operations import parts_of_queue
from winkhooks.admin import LogAdmin, RecentFilter, change_link, exact_time, exactly, list_link, preformatted, two_lines

ENDED_ALREADY = ngettext_lazy(
    "%(count)d delivery was left as it is: it has ended already.",
    "%(count)d deliveries were left as they are: they have ended already.",
    "count",
)


def header_lines(headers: Any) -> SafeString | str:
    """Return headers, which are pairs of name and value, a line each."""
    try:
        return preformatted("\n".join(f"{name}: {value}" for name, value in headers))
    except (TypeError, ValueError):
        return preformatted(json.dumps(headers, ensure_ascii=False, indent=2))


class QueueFilter(admin.SimpleListFilter):
    """Keeps parts of what has not ended, as the page of operations counts them."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, Any]]:
        return [
            ("due", _("Due now")),
            ("under_way", _("Under way")),
            ("later", _("Due later")),
            ("leases_overdue", _("Leases overdue")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        part = parts_of_queue(timezone.now()).get(self.value() or "")
        # The other conditions are those of the index `delivery_due`.
        return None if part is None else queryset.filter(part, next_attempt_at__isnull=False, finished_at=None)


class AttemptInline(admin.TabularInline):  # type: ignore[type-arg]  # has no type parameters when it runs
    model = Attempt
    fields: ClassVar[Any] = (
        "number",
        exact_time(Attempt, "started_at"),
        "duration_ms",
        "http_status",
        "error",
        "error_text",
        "remote_address",
    )
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
    # What goes together shares a column, so that a screen of 1280 pixels shows all of it.
    list_display = (
        exact_time(Delivery, "created_at"),
        "event_link",
        "webhook_and_account",
        "status_and_reason",
        "attempts_and_answer",
        "next_attempt",
    )
    list_filter = (WebhookFilter, EventFilter, "status", QueueFilter, "end_reason", RecentFilter)
    list_select_related = False
    search_ids = ("id", "event__id", "webhook__id")
    search_help_text = _("The beginning of the id of a delivery, an event or a webhook.")
    fields: ClassVar[Any] = (
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
        "next_attempt",
        exact_time(Delivery, "leased_until"),
        exact_time(Delivery, "created_at"),
        exact_time(Delivery, "finished_at"),
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

    def heading(self, row: Delivery) -> str:
        return f"{row.event.type_id} → {row.webhook}"

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
            changed,
            ngettext_lazy(
                "%(count)d delivery will be sent again.", "%(count)d deliveries will be sent again.", "count"
            ),
            selected - changed,
            ngettext_lazy(
                "%(count)d delivery was left as it is: it has not ended yet, or its webhook is disabled or removed.",
                "%(count)d deliveries were left as they are: they have not ended yet, or their webhook is disabled or "
                "removed.",
                "count",
            ),
        )

    @admin.action(description=_("Retry now"), permissions=["work"])
    def retry_now(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        selected = queryset.count()
        # Asked before: what it is narrowed by may not hold afterwards.
        rested = Webhook.objects.filter(pk__in=queryset.order_by().unfinished().values("webhook"))
        one_at_a_time = rested.filter(cooling_until__isnull=False).exists()
        changed = queryset.retry_now()
        wake.ring_on_commit()
        self.tell(
            request,
            changed,
            ngettext_lazy("%(count)d delivery will be tried now.", "%(count)d deliveries will be tried now.", "count"),
            selected - changed,
            ENDED_ALREADY,
        )
        if one_at_a_time:
            self.message_user(
                request,
                _(
                    "Where a webhook failed many times in a row, one delivery at a time is tried; others follow once "
                    "the receiver takes one."
                ),
            )

    @admin.action(description=_("Cancel"), permissions=["work"])
    def cancel(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        selected = queryset.count()
        changed = queryset.cancel(Delivery.EndReason.BY_USER)
        self.tell(
            request,
            changed,
            ngettext_lazy("%(count)d delivery was cancelled.", "%(count)d deliveries were cancelled.", "count"),
            selected - changed,
            ENDED_ALREADY,
        )

    @admin.display(description=_("event"))
    def event_link(self, delivery: Delivery) -> SafeString:
        return change_link(delivery.event, delivery.event.type_id)

    @admin.display(description=_("webhook"))
    def webhook_and_account(self, delivery: Delivery) -> SafeString:
        return two_lines(change_link(delivery.webhook, delivery.webhook), self.account_link(delivery))

    @admin.display(description=_("status"))
    def status_and_reason(self, delivery: Delivery) -> SafeString:
        return two_lines(delivery.get_status_display(), delivery.get_end_reason_display())

    @admin.display(description=_("attempts"))
    def attempts_and_answer(self, delivery: Delivery) -> SafeString:
        answer = f"HTTP {delivery.last_http_status}" if delivery.last_http_status else ""
        return two_lines(str(delivery.attempt_count), answer)

    @admin.display(description=_("next attempt"), ordering="next_attempt_at")
    def next_attempt(self, delivery: Delivery) -> SafeString | str:
        """Return when it is tried; while its webhook rests, the earliest time at which it may be."""
        due, rest_ends = delivery.next_attempt_at, delivery.webhook.cooling_until
        if due is None:
            return "-"
        if rest_ends and rest_ends > max(due, timezone.now()):
            return two_lines(exactly(rest_ends), _("at the earliest, when the webhook has rested"))
        return exactly(due)

    @admin.display(description=_("account"))
    def account_link(self, delivery: Delivery) -> SafeString:
        return change_link(delivery.webhook.account, delivery.webhook.account)

    @admin.display(description=_("attempts"))
    def attempts_link(self, delivery: Delivery) -> SafeString:
        return list_link(Attempt, delivery.attempt_count, delivery=delivery.pk)


@admin.register(Attempt)
class AttemptAdmin(LogAdmin):
    list_display = (
        exact_time(Attempt, "started_at"),
        "delivery_link",
        "number",
        "duration_ms",
        "answer",
        "remote_address",
    )
    list_filter = (DeliveryFilter, "error", RecentFilter)
    search_ids = ("id", "delivery__id")
    search_help_text = _("The beginning of the id of an attempt or a delivery.")
    fields: ClassVar[Any] = (
        "id",
        "delivery",
        "number",
        exact_time(Attempt, "started_at"),
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

    def heading(self, row: Attempt) -> str:
        return f"{row.number}: {title_of(row)}"

    @admin.display(description=_("delivery"))
    def delivery_link(self, attempt: Attempt) -> SafeString:
        return change_link(Delivery(pk=attempt.delivery_id), attempt.delivery_id)

    @admin.display(description=_("answer"))
    def answer(self, attempt: Attempt) -> SafeString:
        return two_lines(f"HTTP {attempt.http_status}" if attempt.http_status else "", attempt.get_error_display())

    @admin.display(description=_("request headers"))
    def request_headers_text(self, attempt: Attempt) -> SafeString | str:
        return header_lines(attempt.request_headers)

    @admin.display(description=_("response headers"))
    def response_headers_text(self, attempt: Attempt) -> SafeString | str:
        return header_lines(attempt.response_headers)

    @admin.display(description=_("response snippet"))
    def response_snippet_text(self, attempt: Attempt) -> SafeString | str:
        return preformatted(bytes(attempt.response_snippet).decode(errors="backslashreplace"))
