from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from webhooks.admin.filters import AccountFilter
from webhooks.forms import choosable_event_types
from webhooks.health import Health, present_health
from webhooks.models import Delivery, StaleVersion, Webhook
from winkhooks.admin import ModelAdmin, change_link, exact_time, list_link, two_lines

SECRETS = ("secret", "previous_secret")
# Marks what was posted over a version that is not the present one any more.
STALE = "stale"


class WebhookAdminForm(forms.ModelForm):  # type: ignore[type-arg]  # has no type parameters when it runs
    """What staff may change of a webhook, with the version that it was read from."""

    seen_version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seen_version"].initial = self.instance.version
        # Who may only look has no fields.
        if "event_types" in self.fields:
            event_types_field = self.fields["event_types"]
            assert isinstance(event_types_field, forms.ModelMultipleChoiceField)
            event_types_field.queryset = choosable_event_types(self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if STALE in self.data:
            # The form comes back with the version that is replaced when it is sent again.
            assert isinstance(self.data, QueryDict)
            self.data = self.data.copy()
            self.data[self.add_prefix("seen_version")] = str(self.instance.version)
            raise ValidationError(
                _(
                    "Somebody changed this webhook while you had it open. Its name is now “%(name)s”, its events are: "
                    "%(events)s; requests per second, at most: %(rate_limit)s. Save again to replace this with what "
                    "you typed."
                ),
                code="stale",
                params={
                    "name": self.instance.name,
                    "events": event_keys(self.instance),
                    "rate_limit": self.instance.rate_limit or gettext("no limit"),
                },
            )
        return cleaned


def event_keys(webhook: Webhook) -> str:
    return ", ".join(webhook.event_types.values_list("key", flat=True)) or gettext("all events")


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, Any]]:
        return [("enabled", _("Enabled")), ("disabled", _("Disabled")), ("removed", _("Removed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        match self.value():
            case "enabled":
                return queryset.filter(removed_at=None, enabled=True)
            case "disabled":
                return queryset.filter(removed_at=None, enabled=False)
            case "removed":
                return queryset.exclude(removed_at=None)
        return None


class HealthFilter(admin.SimpleListFilter):
    """Keeps webhooks that are there, by how they are doing; disabled ones are found by their state."""

    title = _("health")
    parameter_name = "health"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, Any]]:
        return [choice for choice in Health.choices if choice[0] != Health.DISABLED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        if value is None:
            return None
        present: QuerySet[Any] = queryset.filter(removed_at=None).annotate(health=present_health())
        return present.filter(health=value)


@admin.register(Webhook)
class WebhookAdmin(ModelAdmin):
    """Staff may rename webhooks, choose their events, limit their requests, switch and remove them.

    They are made in the portal alone, which shows the signing secret once; and where an account's events go is changed
    there, by its members. Rows are never deleted: removing a webhook keeps the history of what was sent.
    """

    form = WebhookAdminForm
    list_display = (
        "name",
        "account_link",
        "url",
        "state_and_health",
        "deliveries_link",
    )
    list_filter = (AccountFilter, StateFilter, HealthFilter, "disabled_reason", "created_at")
    list_select_related = ("account",)
    search_ids = ("id", "account__id")
    search_fields = ("name", "url", "account__name")
    search_help_text = _("A name, a part of the URL, an account, or the beginning of the id of a webhook or account.")
    filter_horizontal = ("event_types",)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("id", "name", "account", "url", "event_types", "rate_limit", "deliveries_link")}),
        (
            _("State"),
            {
                "fields": (
                    "state",
                    exact_time(Webhook, "disabled_at"),
                    "disabled_reason",
                    "disabled_by",
                    exact_time(Webhook, "removed_at"),
                    "removed_by",
                )
            },
        ),
        (
            _("Health"),
            {
                "fields": (
                    exact_time(Webhook, "failing_since"),
                    "consecutive_failures",
                    exact_time(Webhook, "cooling_until"),
                    "notified_state",
                    exact_time(Webhook, "notified_at"),
                )
            },
        ),
        (
            _("Changes"),
            {
                "fields": (
                    "version",
                    "created_by",
                    exact_time(Webhook, "created_at"),
                    exact_time(Webhook, "updated_at"),
                    exact_time(Webhook, "previous_secret_expires_at"),
                )
            },
        ),
    )
    # All that they show, but for what staff may change.
    readonly_fields: ClassVar[Any] = tuple(
        field for field in flatten_fieldsets(fieldsets) if field not in ("name", "event_types", "rate_limit")
    )
    actions = ("enable", "disable", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer(*SECRETS)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return not lookup.startswith(SECRETS) and super().lookup_allowed(lookup, value, request)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if not self.has_change_permission(request, obj):
            return fieldsets
        return (*fieldsets, (None, {"fields": ("seen_version",)}))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        removed = isinstance(obj, Webhook) and obj.removed_at is not None
        return not removed and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except StaleVersion:
            # Its transaction is rolled back. Once more, this time only for the form to say so and keep what was typed.
            posted = request.POST.copy()
            posted[STALE] = "yes"
            request.POST = posted  # type: ignore[assignment]  # Django takes any QueryDict
            return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if form.changed_data:
            values = form.cleaned_data
            obj.change(
                version=values["seen_version"],
                name=values["name"],
                url=obj.url,
                enabled=obj.enabled,
                event_types=values["event_types"],
                rate_limit=values["rate_limit"],
                by=staff(request),
            )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Write nothing: `Webhook.change` has written the events with the rest."""

    @admin.action(description=_("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        by = staff(request)
        changed = [webhook for webhook in queryset if webhook.enable(by=by)]
        self._log(request, changed, "enabled")
        self.tell(
            request,
            len(changed),
            ngettext_lazy("%(count)d webhook was enabled.", "%(count)d webhooks were enabled.", "count"),
            len(queryset) - len(changed),
            ngettext_lazy(
                "%(count)d webhook was left as it is: it is enabled already, or removed.",
                "%(count)d webhooks were left as they are: they are enabled already, or removed.",
                "count",
            ),
        )

    @admin.action(description=_("Disable"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        by = staff(request)
        changed = [webhook for webhook in queryset if webhook.disable(Webhook.DisabledReason.BY_USER, by=by)]
        self._log(request, changed, "enabled")
        self.tell(
            request,
            len(changed),
            ngettext_lazy("%(count)d webhook was disabled.", "%(count)d webhooks were disabled.", "count"),
            len(queryset) - len(changed),
            ngettext_lazy(
                "%(count)d webhook was left as it is: it is disabled already, or removed.",
                "%(count)d webhooks were left as they are: they are disabled already, or removed.",
                "count",
            ),
        )

    @admin.action(description=_("Remove"), permissions=["change"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> TemplateResponse | None:
        """Ask first: a removed webhook never comes back."""
        if "confirmed" not in request.POST:
            template, title = "admin/webhooks/webhook/remove_confirmation.html", gettext("Remove webhooks")
            return self.confirm(request, template, title=title, action="remove", rows=queryset)
        by = staff(request)
        changed = [webhook for webhook in queryset if webhook.remove(by=by)]
        self._log(request, changed, "removed")
        self.tell(
            request,
            len(changed),
            ngettext_lazy("%(count)d webhook was removed.", "%(count)d webhooks were removed.", "count"),
            len(queryset) - len(changed),
            ngettext_lazy(
                "%(count)d webhook was left as it is: it had been removed already.",
                "%(count)d webhooks were left as they are: they had been removed already.",
                "count",
            ),
        )
        return None

    def _log(self, request: HttpRequest, webhooks: list[Webhook], field: str) -> None:
        # Django translates the words of such a message when it shows them.
        for webhook in webhooks:
            self.log_change(request, webhook, [{"changed": {"fields": [field]}}])

    @admin.display(description=_("account"), ordering="account__name")
    def account_link(self, webhook: Webhook) -> SafeString:
        return change_link(webhook.account, webhook.account)

    @admin.display(description=_("state"))
    def state(self, webhook: Webhook) -> str:
        if webhook.removed_at:
            return gettext("Removed")
        return gettext("Enabled") if webhook.enabled else gettext("Disabled")

    @admin.display(description=_("state"), ordering="consecutive_failures")
    def state_and_health(self, webhook: Webhook) -> SafeString:
        health = webhook.get_disabled_reason_display()
        if not health and webhook.consecutive_failures:
            text = ngettext("%(count)d failure in a row", "%(count)d failures in a row", webhook.consecutive_failures)
            health = text % {"count": webhook.consecutive_failures}
        return two_lines(self.state(webhook), health)

    @admin.display(description=_("deliveries"))
    def deliveries_link(self, webhook: Webhook) -> SafeString:
        return list_link(Delivery, gettext("Show deliveries"), webhook=webhook.pk)


def staff(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
