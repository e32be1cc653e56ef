"""The administration for staff: its site, and what the administrations of the apps are made of."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.apps import AdminConfig
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Paginator
from django.db.models import DateTimeField, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import dateformat, timezone
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from winkhooks.uuid7 import first_uuid7_at

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

# As many digits of a UUIDv7 are the time to about a minute; a shorter text is rather a word of hexadecimal letters.
SHORTEST_ID_PREFIX = 8
COUNT_LIMIT = 10_000


class WinkhooksAdminSite(admin.AdminSite):
    site_header = _("Winkhooks administration")
    site_title = "Winkhooks"
    index_title = _("Administration")
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in staff, who must have given a second factor in this session where STAFF_REQUIRES_MFA is on."""
        from accounts import second_factor

        return super().has_permission(request) and (not settings.STAFF_REQUIRES_MFA or second_factor.was_given(request))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Lead to what is still missing: signing in, where everybody does, or a second factor."""
        from django.contrib.auth.views import redirect_to_login

        next_url = request.GET.get(REDIRECT_FIELD_NAME, "")
        if not url_has_allowed_host_and_scheme(next_url, {request.get_host()}, request.is_secure()):
            next_url = reverse("admin:index")
        if self.has_permission(request):
            return redirect(next_url)
        if not request.user.is_authenticated:
            return redirect_to_login(next_url)
        if not request.user.is_staff:
            explanation = _(
                "The administration is for the staff of Wink. If you have another user for it, sign out first."
            )
            return render(request, "403.html", {"explanation": explanation}, status=403)
        return self._lead_to_second_factor(request, next_url)

    def _lead_to_second_factor(self, request: HttpRequest, next_url: str) -> HttpResponse:
        from allauth.account.adapter import get_adapter
        from django.contrib.auth.views import redirect_to_login

        methods = get_adapter().get_reauthentication_methods(request.user)
        pages = [method["url"] for method in methods if method["id"].startswith("mfa_")]
        if pages:
            return redirect_to_login(next_url, pages[0])
        messages.warning(
            request,
            _("The administration needs a second factor. Add an authenticator app or a passkey, and open it again."),
        )
        return redirect("mfa_index")

    def password_change(  # type: ignore[override]  # nor does Django's itself always render a template
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to where everybody changes their password."""
        return redirect("account_change_password")

    def get_urls(self) -> list[Any]:
        # The administrations of the apps are made of what stands below, so that they come after it.
        from webhooks.admin import operations

        pages = [
            path("webhooks/operations/", self.admin_view(operations.overview), name="webhooks_operations"),
            path("webhooks/operations/workers/", self.admin_view(operations.workers), name="webhooks_workers"),
        ]
        return [*pages, *super().get_urls()]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Refuse a NUL in any query and form: filters and choices would look for it in PostgreSQL, which has none."""

        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if any("\0" in value for _, values in (*request.GET.lists(), *request.POST.lists()) for value in values):
                raise BadRequest("There is a NUL in it.")
            return view(request, *args, **kwargs)

        return super().admin_view(update_wrapper(checked, view), cacheable)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """List the page of operations with the models of its app."""
        from webhooks.admin import operations

        apps = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "webhooks" and operations.may_look(request):
                app["models"].insert(0, operations.list_entry())
        return apps


class WinkhooksAdminConfig(AdminConfig):
    default_site = "winkhooks.admin.WinkhooksAdminSite"


def change_link(target: Model, text: object) -> SafeString:
    """Return a link to the change page of `target`."""
    return format_html(
        '<a href="{}">{}</a>',
        reverse(f"admin:{target._meta.app_label}_{target._meta.model_name}_change", args=[target.pk]),
        text,
    )


def list_url(model: type[Model], **filters: object) -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode({name: str(value) for name, value in filters.items()})}"


def list_link(model: type[Model], text: object, **filters: object) -> SafeString:
    """Return a link to the list of `model`, narrowed by `filters`."""
    return format_html('<a href="{}">{}</a>', list_url(model, **filters), text)


def two_lines(*texts: object) -> SafeString:
    """Return what there is of two texts for one cell of a list, a line each, the second quieter."""
    lines = zip(("line", "line quiet"), filter(None, texts), strict=False)
    return format_html_join("", '<span class="{}">{}</span>', lines)


def exactly(moment: datetime) -> SafeString:
    """Return `moment` to the second, with its zone."""
    shown = dateformat.format(timezone.localtime(moment), "Y-m-d H:i:s T")
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), shown)


def exact_time(model: type[Model], name: str) -> Callable[[Any], SafeString | str]:
    """Return a column that shows a time of the rows of `model` to the second, and its zone."""
    field = model._meta.get_field(name)
    assert isinstance(field, DateTimeField)

    @admin.display(description=field.verbose_name, ordering=name)
    def show(row: Any) -> SafeString | str:
        moment: datetime | None = getattr(row, name)
        return "-" if moment is None else exactly(moment)

    # Django names the cells of the column after it, and finds the help text of the field by it.
    show.__name__ = name
    return show


def readable(text: str) -> str:
    """Return `text` with all that cannot be shown, or would change how the rest is shown, spelled out in ASCII."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else character.encode("unicode_escape").decode()
        for character in text.replace("\r\n", "\n")
    )


def preformatted(text: str) -> SafeString | str:
    """Return `text` as it stands, escaped and with its lines kept; "" where there is none."""
    return format_html('<pre class="raw">{}</pre>', readable(text)) if text else ""


def id_range(text: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last id that begin with `text`; None where `text` is not the beginning of an id."""
    digits = text.strip().lower().replace("-", "")
    if not SHORTEST_ID_PREFIX <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


class ModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # has no type parameters when it runs
    """Finds rows by the beginning of an id, which the index of the id answers, besides `search_fields`."""

    search_ids: ClassVar[tuple[str, ...]] = ("id",)
    search_fields: ClassVar[list[str] | tuple[str, ...]] = ("id",)
    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        ids = id_range(search_term)
        if ids is None:
            return self.search_by_text(request, queryset, search_term)
        conditions = Q()
        for name in self.search_ids:
            conditions |= Q(**{f"{name}__range": ids})
        return queryset.filter(conditions), False

    def search_by_text(self, request: HttpRequest, queryset: QuerySet[Any], text: str) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset, text)

    def confirm(
        self, request: HttpRequest, template: str, *, title: str, action: str, rows: QuerySet[Any]
    ) -> TemplateResponse:
        """Ask whether an action is to be done to these rows; yes comes as "confirmed" with the same form."""
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "rows": rows,
            "action": action,
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
            "media": self.media,
        }
        return TemplateResponse(request, template, context)

    def tell(
        self, request: HttpRequest, changed: int, changed_text: "StrPromise", left: int, left_text: "StrPromise"
    ) -> None:
        """Say how many rows an action changed, and how many it left; the texts are `ngettext_lazy` by "count"."""
        for level, count, text in ((messages.SUCCESS, changed, changed_text), (messages.WARNING, left, left_text)):
            if count > 0:
                self.message_user(request, text % {"count": count}, level)


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # has no type parameters when it runs
    """Counts no further than COUNT_LIMIT, so that a list of millions opens at once."""

    @cached_property
    def count(self) -> int:
        return min(self._count_and_one, COUNT_LIMIT)

    @property
    def is_capped(self) -> bool:
        return self._count_and_one > COUNT_LIMIT

    @cached_property
    def _count_and_one(self) -> int:
        rows = self.object_list
        assert isinstance(rows, QuerySet)
        return rows.order_by().values("pk")[: COUNT_LIMIT + 1].count()


class ReadOnlyAdmin(ModelAdmin):
    """Shows rows that nobody may write by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LogAdmin(ReadOnlyAdmin):
    """Shows a table of millions of rows: newest first, searched by id alone, never counted to its end."""

    ordering = ("-id",)
    sortable_by = ()
    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER

    def search_by_text(self, request: HttpRequest, queryset: QuerySet[Any], text: str) -> tuple[QuerySet[Any], bool]:
        return queryset.none(), False

    def heading(self, row: Any) -> str:
        """Return what the page of a row is headed with: by itself a row that others name knows their ids alone."""
        return str(row)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["subtitle"] = self.heading(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)


class ParentFilter(admin.SimpleListFilter):
    """Names the row that a link narrowed the list to, and leads back to all; without such a link it is not there."""

    parent: ClassVar[type[Model]]
    # What its name is made of; a row may be too large, or too secret, to be read whole for it.
    name_fields: ClassVar[tuple[str, ...]] = ("name",)

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, str]]:
        value = self.value()
        if value is None:
            return []
        ids = id_range(value)
        parent = ids and self.parent._default_manager.only(*self.name_fields).filter(pk=ids[0]).first()
        return [(value, str(parent or value))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        try:
            return None if value is None else queryset.filter(**{str(self.parameter_name): value})
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error


class RecentFilter(admin.SimpleListFilter):
    """Keeps the rows made lately, by their ids, which are in the order of time: no other index is needed."""

    title = _("age")
    parameter_name = "made"
    spans: ClassVar[dict[str, timedelta]] = {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(days=7),
    }

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, Any]]:
        return [("hour", _("In the last hour")), ("day", _("In the last 24 hours")), ("week", _("In the last 7 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        span = self.spans.get(self.value() or "")
        return None if span is None else queryset.filter(id__gte=first_uuid7_at(timezone.now() - span))
