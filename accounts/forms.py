from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Membership, Role, User

if TYPE_CHECKING:
    AccountModelForm = forms.ModelForm[Account]
else:
    AccountModelForm = forms.ModelForm


class PageForm(forms.BaseForm):
    """A form that is what its page is for: its first field has the focus, unless errors are to be read first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        if not self.is_bound:
            first_field = next(iter(self.fields.values()))
            first_field.widget.attrs["autofocus"] = True


class SignInForm(PageForm, AuthenticationForm):
    """Sign in by e-mail address; every failure reads the same, so that it does not tell who has a user here."""

    username = forms.EmailField(
        label=_("E-mail address"),
        widget=forms.EmailInput(attrs={"class": "form-control", "autocomplete": "username"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"class": "form-control", "autocomplete": "current-password"}),
    )
    error_messages = {
        "invalid_login": _("The e-mail address or the password is wrong. Check both and try again."),
        "inactive": _("The e-mail address or the password is wrong. Check both and try again."),
    }


class AccountForm(PageForm, AccountModelForm):
    class Meta:
        model = Account
        fields = ["name"]
        widgets = {"name": forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"})}
        labels = {"name": _("Name")}
        help_texts = {"name": _("What you and the other members see, for example the name of your hotel.")}

    def save_owned_by(self, owner: User) -> Account:
        with transaction.atomic():
            account: Account = self.save()
            Membership.objects.create(account=account, user=owner, role=Role.OWNER)
        return account
