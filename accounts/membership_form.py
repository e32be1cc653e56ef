"""The forms of memberships in the administration. They leave no account that has an owner without one.

They look whether one is left under the lock of the account, which lasts until the transaction of the page has ended.
"""

from typing import Any

from django import forms
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Membership, Role

OWNER_NEEDED = _("The account “%(account)s” would be left without an owner. Make somebody else an owner first.")


class MembershipForm(forms.ModelForm):  # type: ignore[type-arg]  # has no type parameters when it runs
    """Changes the role alone: another person or account is another membership."""

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        if not self.instance._state.adding and role != Role.OWNER:
            with self.instance.account.members_locked():
                if self.instance.is_last_owner():
                    raise _owner_needed(self.instance.account)
        return role


class InlineMembershipForm(forms.ModelForm):  # type: ignore[type-arg]  # has no type parameters when it runs
    """Changes the role alone, of a membership that exists; whether an owner is left, the forms together tell."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            for name in {"user", "account"} & self.fields.keys():
                field = self.fields[name]
                field.disabled = True
                if isinstance(field.widget, RelatedFieldWidgetWrapper):
                    # What would be chosen, or made to be chosen, would not count.
                    field.widget.can_add_related = field.widget.can_change_related = False


class MembershipFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # has no type parameters when it runs
    """Looks at all its forms together, so that one owner may take the place of another."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        changed = [form for form in self.forms if form.has_changed()]
        touched: list[Membership] = [form.instance for form in changed]
        kept = [form.instance for form in changed if not self._should_delete_form(form)]  # type: ignore[attr-defined]  # missing in the stubs
        # In one order, so that two who change members of the same accounts do not wait for each other.
        for account in Account.objects.filter(pk__in={membership.account_id for membership in touched}).order_by("pk"):
            with account.members_locked():
                owners = account.memberships.filter(role=Role.OWNER)
                had_owner = owners.exists()
                has_owner = owners.exclude(pk__in=[membership.pk for membership in touched]).exists() or any(
                    membership.account_id == account.pk and membership.role == Role.OWNER for membership in kept
                )
            if had_owner and not has_owner:
                raise _owner_needed(account)


def _owner_needed(account: Account) -> ValidationError:
    return ValidationError(OWNER_NEEDED, code="last_owner", params={"account": account})
