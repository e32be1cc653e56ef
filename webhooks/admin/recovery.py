from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from webhooks.admin.filters import WebhookFilter
from webhooks.models import Recovery
from winkhooks.admin import LogAdmin, RecentFilter, change_link


@admin.register(Recovery)
class RecoveryAdmin(LogAdmin):
    list_display = ("id", "webhook_link", "kind", "since", "until", "status", "replayed", "total", "requested_by")
    list_filter = (WebhookFilter, "kind", "status", RecentFilter)
    search_ids = ("id", "webhook__id")
    search_help_text = _("The beginning of the id of a recovery or a webhook.")
    fields = (
        "id",
        "webhook",
        "kind",
        "since",
        "until",
        "status",
        "end_reason",
        "replayed",
        "total",
        "requested_by",
        "requested_at",
        "cancelled_by",
        "finished_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request).select_related("webhook", "requested_by", "cancelled_by")
        return queryset.defer("webhook__secret", "webhook__previous_secret")

    @admin.display(description=_("webhook"))
    def webhook_link(self, recovery: Recovery) -> SafeString:
        return change_link(recovery.webhook, recovery.webhook)
