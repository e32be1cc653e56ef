from typing import TYPE_CHECKING, Any

from allauth.account import forms as allauth_forms
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as mfa_forms
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn import forms as webauthn_forms
from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import audit, limits, second_factor
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


# So long a code of an app is taken, with those before and after the present one.
CODE_SECONDS = mfa_settings.TOTP_PERIOD * (2 * mfa_settings.TOTP_TOLERANCE + 1)
PASSKEY_NAME_LENGTH = 100


class PageForm(forms.BaseForm):
    """A form that is what its page is for: its first field has the focus, unless errors are to be read first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        if not self.is_bound:
            first_field = next(iter(self.fields.values()))
            first_field.widget.attrs["autofocus"] = True


class SignInPageForm(PageForm):
    """A form of allauth in the portal's look: labels stand above the fields instead of in them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            attrs = field.widget.attrs
            attrs.pop("placeholder", None)
            attrs["class"] = "form-check-input" if isinstance(field, forms.BooleanField) else "form-control"


class SignInForm(SignInPageForm, allauth_forms.LoginForm):
    """Sign in by e-mail address; every failure reads the same, so that it does not tell who has a user here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("E-mail address")
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        self.fields["password"].label = _("Password")
        self.fields["password"].help_text = ""

    def add_prefix(self, field_name: str) -> str:
        """Send the address under the name that password managers look for."""
        return super().add_prefix("username" if field_name == "login" else field_name)


class PasswordResetForm(SignInPageForm, allauth_forms.ResetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail address")
        self.fields["email"].widget.attrs["autocomplete"] = "username"

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        email: str = self.cleaned_data["email"]
        if self.users:
            return str(super().save(request, **kwargs))
        # That of allauth leads to where people sign up, which nobody does here.
        get_account_adapter().send_mail("account/email/unknown_account", email, {})
        return email


def _label_new_passwords(form: forms.BaseForm) -> None:
    form.fields["password1"].label = _("New password")
    form.fields["password2"].label = _("New password again")


class NewPasswordForm(SignInPageForm, allauth_forms.ResetPasswordKeyForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _label_new_passwords(self)


class PasswordSetForm(SignInPageForm, allauth_forms.SetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _label_new_passwords(self)


class PasswordChangeForm(SignInPageForm, allauth_forms.ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["oldpassword"].label = _("Current password")
        self.fields["oldpassword"].help_text = ""
        _label_new_passwords(self)


class EmailChangeForm(SignInPageForm, allauth_forms.AddEmailForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("New e-mail address")

    def clean_email(self) -> str:
        waiting = EmailAddress.objects.get_new(self.user)
        if waiting and waiting.email == self.cleaned_data["email"].lower():
            raise ValidationError(
                _("This address waits to be confirmed. Open the link that was sent there, or have it sent again.")
            )
        email: str = super().clean_email()
        return email


class PasswordConfirmForm(SignInPageForm, allauth_forms.ReauthenticateForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].label = _("Password")
        self.fields["password"].help_text = ""


class CodeForm(SignInPageForm):
    """Ask for a code of an app, or a recovery code."""

    user: User
    cleaned_data: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].label = _("Code")
        self.fields["code"].widget.attrs["inputmode"] = "numeric"

    def clean_code(self) -> str:
        """Refuse a code that was used before; allauth does so for the half a minute in which an app shows it alone.

        That is seen before allauth looks at it, which would forget the wrong codes before one that is right.
        """
        used = f"second_factor.used:{self.user.pk}:{normalize_user_code(self.cleaned_data['code'])}"
        with second_factor.limit_logged(context.request, self.user):
            if cache.get(used):
                check_rate_limit(self.user)
                raise self._used_before()
            code: str = super().clean_code()  # type: ignore[misc]
        if not cache.add(used, True, timeout=CODE_SECONDS):
            raise self._used_before()
        return code

    def _used_before(self) -> ValidationError:
        second_factor.log_failure(request=context.request, user=self.user)
        error: ValidationError = get_adapter().validation_error("incorrect_code")
        return error


class SecondFactorForm(CodeForm, mfa_forms.AuthenticateForm):
    pass


class SecondFactorConfirmForm(CodeForm, mfa_forms.ReauthenticateForm):
    pass


class AppAddForm(CodeForm, ActivateTOTPForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].label = _("Code that the app shows")


class CredentialForm(forms.BaseForm):
    """Take what no browser sends for a passkey that is wrong; the libraries that read it break on some of it."""

    def full_clean(self) -> None:
        try:
            super().full_clean()
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            self.add_error("credential", get_adapter().validation_error("incorrect_code"))


class PasskeyForm(CredentialForm):
    """Take a passkey as proof of who is there; the log has those that are refused."""

    user: User | None

    def full_clean(self) -> None:
        with second_factor.limit_logged(context.request, self.user):
            super().full_clean()
        if self.errors:
            second_factor.log_passkey_failure(context.request, self.user)


class PasskeySignInForm(PasskeyForm, webauthn_forms.LoginWebAuthnForm):
    pass


class PasskeyFactorForm(PasskeyForm, webauthn_forms.AuthenticateWebAuthnForm):
    pass


class PasskeyConfirmForm(PasskeyForm, webauthn_forms.ReauthenticateWebAuthnForm):
    pass


class PasskeyAddForm(CredentialForm, SignInPageForm, webauthn_forms.AddWebAuthnForm):
    # Not required: the device may have the passkey before the form comes.
    name = forms.CharField(
        label=_("Name"),
        help_text=_("So that you recognise it, for example the name of your computer or phone."),
        max_length=PASSKEY_NAME_LENGTH,
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["passwordless"].label = _("Sign in with this passkey alone, without a password")
        self.fields["passwordless"].help_text = _("The device then asks for your fingerprint, face or PIN.")
        self.fields["passwordless"].initial = True


class PasskeyRenameForm(SignInPageForm, webauthn_forms.EditWebAuthnForm):
    name = forms.CharField(label=_("Name"), max_length=PASSKEY_NAME_LENGTH)


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

    def validate_password_for_user(self, user: User) -> None:
        """Say what is wrong with the password at the field for it; Django does so at its confirmation."""
        super().validate_password_for_user(user, "password1")  # type: ignore[misc]  # the types do not know it yet
