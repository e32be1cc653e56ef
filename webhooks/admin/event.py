import json
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from webhooks.admin.filters import AccountFilter
from webhooks.models import Delivery, Event, EventType, Webhook
from winkhooks.admin import LogAdmin, ReadOnlyAdmin, RecentFilter, change_link, exact_time, list_link, preformatted


def pretty_json(content: object) -> SafeString | str:
    return preformatted(json.dumps(content, ensure_ascii=False, indent=2))


@admin.register(EventType)
class EventTypeAdmin(ReadOnlyAdmin):
    """Event types come from the files of the catalogue, which the next deployment would put back."""

    list_display = ("key", "localized_title", "localized_group", "delivered", "deprecated", "webhooks_link")
    list_filter = ("delivered", "deprecated", "group")
    search_ids = ()
    search_fields = ("key", "title", "title_fi", "group", "group_fi", "aliases")
    search_help_text = _("A key, a title or a group, in either language.")
    fields = (
        "key",
        "group",
        "group_fi",
        "title",
        "title_fi",
        "delivered",
        "deprecated",
        "aliases",
        "roles",
        "schema_text",
        "example_text",
        "webhooks_link",
    )

    @admin.display(description=_("title"), ordering="title")
    def localized_title(self, event_type: EventType) -> str:
        return event_type.localized_title

    @admin.display(description=_("group"), ordering="group")
    def localized_group(self, event_type: EventType) -> str:
        return event_type.localized_group

    @admin.display(description=_("JSON schema"))
    def schema_text(self, event_type: EventType) -> SafeString | str:
        return "" if event_type.schema is None else pretty_json(event_type.schema)

    @admin.display(description=_("example"))
    def example_text(self, event_type: EventType) -> SafeString | str:
        return "" if event_type.example is None else pretty_json(event_type.example)

    @admin.display(description=_("webhooks that chose it"))
    def webhooks_link(self, event_type: EventType) -> SafeString:
        return list_link(Webhook, gettext("Show webhooks"), event_types__key__exact=event_type.key)


class TypeFilter(admin.SimpleListFilter):
    """Offers the keys; Django's own filter would read every event type with its schema."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, str]]:
        return [(key, key) for key in EventType.objects.order_by("key").values_list("key", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        return None if value is None else queryset.filter(type=value)


@admin.register(Event)
class EventAdmin(LogAdmin):
    list_display = (exact_time(Event, "occurred_at"), "type_key", "account_link", "status", "deliveries_link")
    list_filter = (AccountFilter, "status", RecentFilter, "recipient_role", TypeFilter)
    list_select_related = ("account",)
    search_help_text = _("The beginning of an id, or a whole idempotency key.")
    fields: ClassVar[Any] = (
        "id",
        "type",
        "account",
        "recipient_role",
        exact_time(Event, "occurred_at"),
        exact_time(Event, "created_at"),
        exact_time(Event, "dispatched_at"),
        "idempotency_key",
        "is_test",
        "status",
        "deliveries_link",
        "body_size",
        "body_text",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # A page of bodies would be up to 25 MB.
        return super().get_queryset(request).defer("body")

    def search_by_text(self, request: HttpRequest, queryset: QuerySet[Any], text: str) -> tuple[QuerySet[Any], bool]:
        # Keys are unique in an account, and so is their index: naming all accounts lets the database use it.
        return queryset.filter(account__in=Account.objects.order_by().values("pk"), idempotency_key=text.strip()), False

    @admin.display(description=_("type"))
    def type_key(self, event: Event) -> str:
        return event.type_id

    @admin.display(description=_("account"))
    def account_link(self, event: Event) -> SafeString:
        return change_link(event.account, event.account)

    @admin.display(description=_("deliveries"))
    def deliveries_link(self, event: Event) -> SafeString:
        return list_link(Delivery, event.delivery_count, event=event.pk)

    @admin.display(description=_("size of the body in bytes"))
    def body_size(self, event: Event) -> int:
        return len(event.body)

    @admin.display(description=_("body"))
    def body_text(self, event: Event) -> SafeString | str:
        body = bytes(event.body)
        try:
            return pretty_json(json.loads(body))
        except (ValueError, RecursionError):
            return preformatted(body.decode(errors="backslashreplace"))
