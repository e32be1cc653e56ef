from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from webhooks.admin.filters import WebhookFilter
from webhooks.models import Recovery
from winkhooks.admin import LogAdmin, RecentFilter, change_link, exact_time


@admin.register(Recovery)
class RecoveryAdmin(LogAdmin):
    list_display = (
        exact_time(Recovery, "requested_at"),
        "webhook_link",
        "kind",
        exact_time(Recovery, "since"),
        exact_time(Recovery, "until"),
        "status",
        "replayed",
        "total",
        "requested_by",
    )
    list_filter = (WebhookFilter, "kind", "status", RecentFilter)
    search_ids = ("id", "webhook__id")
    search_help_text = _("The beginning of the id of a recovery or a webhook.")
    fields: ClassVar[Any] = (
        "id",
        "webhook",
        "kind",
        exact_time(Recovery, "since"),
        exact_time(Recovery, "until"),
        "status",
        "end_reason",
        "replayed",
        "total",
        "requested_by",
        exact_time(Recovery, "requested_at"),
        "cancelled_by",
        exact_time(Recovery, "finished_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request).select_related("webhook", "requested_by", "cancelled_by")
        return queryset.defer("webhook__secret", "webhook__previous_secret")

    def heading(self, row: Recovery) -> str:
        return f"{row.get_kind_display()}: {row.webhook}"

    @admin.display(description=_("webhook"))
    def webhook_link(self, recovery: Recovery) -> SafeString:
        return change_link(recovery.webhook, recovery.webhook)
