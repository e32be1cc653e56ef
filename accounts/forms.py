from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import audit, limits
from accounts.access import ROLE_RIGHTS
from accounts.models import Account, Invitation, Membership, Role, User

if TYPE_CHECKING:
    AccountModelForm = forms.ModelForm[Account]
    MembershipModelForm = forms.ModelForm[Membership]
    InvitationModelForm = forms.ModelForm[Invitation]
    UserCreationForm = BaseUserCreationForm[User]
else:
    AccountModelForm = MembershipModelForm = InvitationModelForm = forms.ModelForm
    UserCreationForm = BaseUserCreationForm


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
        """Save the account with its owner; raise TooMany where they have created many lately."""
        with transaction.atomic():
            limits.check(limits.ACCOUNTS, owner)
            account: Account = self.save()
            Membership.objects.create(account=account, user=owner, role=Role.OWNER)
            audit.record(
                audit.Action.ACCOUNT_CREATED,
                account=account.pk,
                target=account.name,
                target_id=account.pk,
                actor=owner,
                changes={"name": (None, account.name)},
            )
        return account


class RoleChooser(forms.RadioSelect):
    """The roles, each with what it lets a member do."""

    template_name = "accounts/role_chooser.html"

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        return option | {"rights": ROLE_RIGHTS[Role(value)]}


class RoleForm(PageForm, MembershipModelForm):
    class Meta:
        model = Membership
        fields = ["role"]
        widgets = {"role": RoleChooser}
        labels = {"role": _("Role")}


class InvitationForm(PageForm, InvitationModelForm):
    class Meta:
        model = Invitation
        fields = ["email", "role"]
        widgets = {
            "email": forms.EmailInput(attrs={"class": "form-control", "autocomplete": "off"}),
            "role": RoleChooser,
        }
        labels = {"email": _("E-mail address"), "role": _("Role")}
        help_texts = {"email": _("An e-mail with a link goes to this address. The link works for 7 days.")}
        error_messages = {"email": {"required": _("Enter the e-mail address of the person to invite.")}}


class NewUserForm(UserCreationForm):
    """What an invited person who has no user yet says of themselves; the address is that of the invitation."""

    class Meta:
        model = User
        fields = ["name"]
        widgets = {"name": forms.TextInput(attrs={"class": "form-control", "autocomplete": "name"})}
        labels = {"name": _("Your name")}
        help_texts = {"name": _("What the other members of the account see.")}
        error_messages = {"name": {"required": _("Enter your name.")}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = True
        for name in ("password1", "password2"):
            self.fields[name].widget.attrs["class"] = "form-control"
