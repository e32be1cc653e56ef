from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts import audit, email_change, invitations, letters, second_factor
from accounts.audit import AuditEntry
from accounts.membership_form import OWNER_NEEDED, InlineMembershipForm, MembershipForm, MembershipFormSet
from accounts.models import Account, Invitation, LastOwner, Membership, User
from webhooks.models import Event, Webhook
from winkhooks.admin import (
    LogAdmin,
    ModelAdmin,
    ParentFilter,
    ReadOnlyAdmin,
    RecentFilter,
    change_link,
    exact_time,
    list_link,
)

# Who writes into these tables can sign in as others; what staff are to do with them, users have an action for.
for model in (EmailAddress, Authenticator, UserSession):
    admin.site.unregister(model)


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]  # has no type parameters when it runs
    model = Membership
    form = InlineMembershipForm
    formset = MembershipFormSet
    extra = 0
    autocomplete_fields = ("account", "user")
    readonly_fields: ClassVar[Any] = (exact_time(Membership, "created_at"),)
    verbose_name_plural = _("memberships")


def note_memberships(formset: Any) -> None:
    """Write into the change history what a formset of memberships did."""
    if formset.model is not Membership:
        return
    for membership in formset.new_objects:
        membership.note(audit.Action.MEMBER_ADDED, {"role": (None, membership.role)})
    for membership, fields in formset.changed_objects:
        if "role" in fields:
            earlier = next(form.initial["role"] for form in formset.initial_forms if form.instance == membership)
            membership.note(audit.Action.MEMBER_CHANGED, {"role": (earlier, membership.role)})
    for membership in formset.deleted_objects:
        membership.note(audit.Action.MEMBER_REMOVED, {"role": (membership.role, None)})


class NotingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # has no type parameters when it runs
    """Writes into the change history what is done to users and to what they may do as staff."""

    noted_fields: ClassVar[tuple[str, ...]]
    noted_actions: ClassVar[dict[str, audit.Action]]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        changes = {
            field: (_noted(form.initial.get(field)) if change else None, _noted(form.cleaned_data[field]))
            for field in self.noted_fields
            if field in form.changed_data
        }
        if changes:
            self.note("changed" if change else "created", form.instance, changes)

    def note(self, what: str, row: Any, changes: dict[str, tuple[Any, Any]] | None = None) -> None:
        name = row.get_full_name() if isinstance(row, User) else str(row)
        target_id = row.pk if isinstance(row, User) else None
        audit.record(self.noted_actions[what], account=None, target=name, target_id=target_id, changes=changes)


def _noted(value: Any) -> Any:
    """Return the value of a field as the change history keeps it: rows by their names, in order."""
    if isinstance(value, (list, QuerySet)):
        return sorted(getattr(row, "codename", "") or str(row) for row in value)
    return value


class StaffPasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # has no type parameters when it runs
    def save(self, commit: bool = True) -> User:
        with transaction.atomic():
            user: User = super().save(commit)
            email_change.withdraw(user)
            letters.post("account/email/password_changed_by_staff", user.email, {"user": user})
            audit.record(audit.Action.PASSWORD_CHANGED, account=None, target=user.get_full_name(), target_id=user.pk)
        return user


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(NotingAdmin, BaseGroupAdmin):
    noted_fields = ("name", "permissions")
    noted_actions: ClassVar[dict[str, audit.Action]] = {
        "created": audit.Action.GROUP_CREATED,
        "changed": audit.Action.GROUP_CHANGED,
        "removed": audit.Action.GROUP_REMOVED,
    }

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        self.note("removed", obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        with transaction.atomic():
            for group in queryset:
                self.note("removed", group)
            super().delete_queryset(request, queryset)


@admin.register(User)
class UserAdmin(NotingAdmin, ModelAdmin, BaseUserAdmin):  # type: ignore[type-arg]
    """Users are not deleted: unticking "active" locks them out, and what they did keeps their name."""

    noted_fields = ("email", "name", "language", "is_active", "is_staff", "is_superuser", "groups", "user_permissions")
    noted_actions: ClassVar[dict[str, audit.Action]] = {
        "created": audit.Action.USER_CREATED,
        "changed": audit.Action.USER_CHANGED,
    }
    change_password_form = StaffPasswordForm
    dates: ClassVar[Any] = (exact_time(User, "last_login"), exact_time(User, "date_joined"))

    list_display = (
        "email",
        "name",
        "language",
        "is_active",
        "is_staff",
        "is_superuser",
        exact_time(User, "last_login"),
    )
    list_filter = ("is_active", "is_staff", "is_superuser", "language", "groups")
    search_fields = ("email", "name")
    search_help_text = _("An e-mail address, a name or the beginning of an id.")
    ordering = ("email",)
    readonly_fields: ClassVar[Any] = ("id", *dates)
    inlines = (MembershipInline,)
    actions = ("remove_second_factors",)
    fieldsets = (
        (None, {"fields": ("id", "email", "password")}),
        (_("About"), {"fields": ("name", "language")}),
        (_("Permissions"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Important dates"), {"fields": dates}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("email", "name", "language", "usable_password", "password1", "password2"),
            },
        ),
    )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "email" in form.changed_data:
            email_change.withdraw(obj)
            earlier = form.initial["email"]
            words = {"user": obj, "from_email": earlier, "to_email": obj.email}
            letters.post("account/email/email_changed_by_staff", earlier, words)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        note_memberships(formset)

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Let superusers alone hand out permissions: whoever else could would be one, too."""
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        return (*fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Keep superusers, and with them their passwords, to superusers; other staff to themselves and superusers."""
        if not super().has_change_permission(request, obj):
            return False
        if not isinstance(obj, User) or request.user.is_superuser:
            return True
        return not obj.is_staff or obj == request.user

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.action(description=_("Remove the second factors of those who have lost them"), permissions=["change"])
    def remove_second_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> TemplateResponse | None:
        """Ask first: the factors are gone for good, and one Go may take those of all users."""
        if "confirmed" not in request.POST:
            template, title = "admin/accounts/user/remove_second_factors.html", gettext("Remove second factors")
            return self.confirm(request, template, title=title, action="remove_second_factors", rows=queryset)
        users = [user for user in queryset if self.has_change_permission(request, user)]
        removed = sum(second_factor.remove_all(user) for user in users)
        text = ngettext(
            "The second factors of %(count)d user were removed.",
            "The second factors of %(count)d users were removed.",
            removed,
        )
        self.message_user(request, text % {"count": removed}, messages.SUCCESS)
        if refused := queryset.count() - len(users):
            text = ngettext(
                "%(count)d user is one whom only superusers may change.",
                "%(count)d users are ones whom only superusers may change.",
                refused,
            )
            self.message_user(request, text % {"count": refused}, messages.ERROR)
        return None


@admin.register(Account)
class AccountAdmin(ModelAdmin):
    """Accounts are not deleted: the history of what was sent would go with them."""

    list_display = ("name", "id", exact_time(Account, "created_at"), "webhooks_link", "events_link")
    list_filter = ("created_at",)
    search_fields = ("name",)
    search_help_text = _("A name or the beginning of an id.")
    fields: ClassVar[Any] = ("id", "name", exact_time(Account, "created_at"), "webhooks_link", "events_link")
    readonly_fields: ClassVar[Any] = tuple(field for field in fields if field != "name")
    inlines = (MembershipInline,)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.fields if obj else ("name",)

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.has_changed():
            audit.record(
                audit.Action.ACCOUNT_CHANGED if change else audit.Action.ACCOUNT_CREATED,
                account=obj.pk,
                target=obj.name,
                target_id=obj.pk,
                changes={"name": (form.initial.get("name"), obj.name)},
            )

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        note_memberships(formset)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.display(description=_("webhooks"))
    def webhooks_link(self, account: Account) -> SafeString:
        return list_link(Webhook, gettext("Show webhooks"), account=account.pk)

    @admin.display(description=_("events"))
    def events_link(self, account: Account) -> SafeString:
        return list_link(Event, gettext("Show events"), account=account.pk)


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    form = MembershipForm
    list_display = ("user", "account_link", "role", exact_time(Membership, "created_at"))
    list_filter = ("role", "created_at")
    list_select_related = ("user", "account")
    search_ids = ("id", "user__id", "account__id")
    search_fields = ("user__email", "user__name", "account__name")
    search_help_text = _("A person, an account, or the beginning of the id of one.")
    ordering = ("-id",)
    fields: ClassVar[Any] = ("id", "user", "account", "role", exact_time(Membership, "created_at"))
    readonly_fields: ClassVar[Any] = tuple(field for field in fields if field not in ("user", "account", "role"))
    autocomplete_fields = ("user", "account")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return ("user", "account", *self.readonly_fields) if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        action = audit.Action.MEMBER_CHANGED if change else audit.Action.MEMBER_ADDED
        if not change or form.has_changed():
            obj.note(action, {"role": (form.initial.get("role") if change else None, obj.role)})

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except LastOwner as error:
            return self._refuse(request, error, reverse("admin:accounts_membership_change", args=[object_id]))

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        obj.end()

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        """Take all who were chosen out of their accounts, or none, with what the log says of it."""
        try:
            with transaction.atomic():
                return super().response_action(request, *args, **kwargs)
        except LastOwner as error:
            return self._refuse(request, error, request.get_full_path())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        # In one order, so that two who do it at once do not wait for each other.
        for membership in queryset.order_by("account_id", "pk"):
            membership.end()

    def _refuse(self, request: HttpRequest, error: LastOwner, url: str) -> HttpResponse:
        self.message_user(request, OWNER_NEEDED % {"account": error.account}, messages.ERROR)
        return HttpResponseRedirect(url)

    @admin.display(description=_("account"), ordering="account__name")
    def account_link(self, membership: Membership) -> SafeString:
        return change_link(membership.account, membership.account)


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Staff see invitations and may withdraw them. They are made in the portal, by the owners of the account."""

    list_display = (
        "email",
        "account_link",
        "role",
        "invited_by",
        exact_time(Invitation, "created_at"),
        exact_time(Invitation, "expires_at"),
        "state",
        exact_time(Invitation, "sent_at"),
    )
    list_filter = ("role", "created_at")
    list_select_related = ("account", "invited_by")
    search_ids = ("id", "account__id")
    search_fields = ("email", "account__name", "invited_by__email")
    search_help_text = _("An e-mail address, an account, or the beginning of the id of an invitation or account.")
    fields: ClassVar[Any] = (
        "id",
        "email",
        "account_link",
        "role",
        "state",
        "invited_by",
        "language",
        exact_time(Invitation, "created_at"),
        exact_time(Invitation, "expires_at"),
        exact_time(Invitation, "send_after"),
        exact_time(Invitation, "sent_at"),
        exact_time(Invitation, "accepted_at"),
        "accepted_by",
        exact_time(Invitation, "withdrawn_at"),
        "withdrawn_by",
    )
    actions = ("withdraw",)

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        """Tell who may withdraw; the rows themselves are changed by nobody."""
        return request.user.has_perm("accounts.change_invitation")

    @admin.action(description=_("Withdraw"), permissions=["withdraw"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        assert isinstance(request.user, User)
        withdrawn = [invitation for invitation in queryset if invitations.withdraw(invitation, by=request.user)]
        for invitation in withdrawn:
            self.log_change(request, invitation, [{"changed": {"fields": ["withdrawn"]}}])
        self.tell(
            request,
            len(withdrawn),
            ngettext_lazy("%(count)d invitation was withdrawn.", "%(count)d invitations were withdrawn.", "count"),
            len(queryset) - len(withdrawn),
            ngettext_lazy(
                "%(count)d invitation was left as it is: it was accepted or withdrawn already.",
                "%(count)d invitations were left as they are: they were accepted or withdrawn already.",
                "count",
            ),
        )

    @admin.display(description=_("account"), ordering="account__name")
    def account_link(self, invitation: Invitation) -> SafeString:
        return change_link(invitation.account, invitation.account)

    @admin.display(description=_("state"))
    def state(self, invitation: Invitation) -> str:
        if invitation.accepted_at:
            return gettext("Accepted")
        if invitation.withdrawn_at:
            return gettext("Withdrawn")
        return gettext("Expired") if invitation.has_expired else gettext("Open")


class HistoryAccountFilter(ParentFilter):
    title = _("account")
    parameter_name = "account"
    parent = Account


class KindFilter(admin.SimpleListFilter):
    title = _("about")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, Any]]:
        return list(audit.KINDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        kind = self.value() or ""
        return queryset.filter(action__in=audit.actions_of(kind)) if kind in audit.KINDS else None


@admin.register(AuditEntry)
class AuditEntryAdmin(LogAdmin):
    """Staff see what happened in every account, and sign-ins, which belong to none. Nobody changes it."""

    list_display = (exact_time(AuditEntry, "at"), "what", "actor_name", "account_name", "door", "address")
    list_filter = (HistoryAccountFilter, KindFilter, "door", RecentFilter)
    search_ids = ("id", "account", "actor", "webhook_id", "target_id")
    search_help_text = _("The beginning of the id of an entry, an account, a person, a webhook or what was changed.")
    fields: ClassVar[Any] = (
        "id",
        exact_time(AuditEntry, "at"),
        "what",
        "action",
        "account_name",
        "actor_id",
        "actor_name",
        "webhook_id",
        "target_id",
        "changes",
        "count",
        "door",
        "address",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("account")

    @admin.display(description=_("what"))
    def what(self, entry: AuditEntry) -> str:
        return entry.sentence

    @admin.display(description=_("account"))
    def account_name(self, entry: AuditEntry) -> SafeString | str:
        # An account that is gone leaves its id.
        account = entry.account if entry.account_id else None
        return change_link(account, account) if account else ""
