import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, Self

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import audit
from webhooks.fields import EncryptedTextField
from winkhooks.uuid7 import uuid7


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.with_email(username or "").get()

    def with_email(self, email: str) -> models.QuerySet["User"]:
        """Return the one user of the address in any case, if there is one."""
        # In the form of the unique index, which an iexact would not use.
        return self.alias(lower_email=Lower("email")).filter(lower_email=email.lower())


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in, by e-mail address."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=settings.LANGUAGES,
        blank=True,
        help_text=_("The language of pages and e-mails. Empty: what the browser asks for."),
    )
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("May sign in to the administration."))
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Untick this instead of deleting a user, so that the history stays.")
    )
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique_in_any_case",
                violation_error_message=_("A user with this e-mail address exists already."),
            )
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the user, with the address as a confirmed one.

        Whoever writes it answers for it: staff, the link of an invitation, or the link that confirms a new address.
        """
        update_fields = kwargs.get("update_fields")
        with transaction.atomic(using=kwargs.get("using")):
            super().save(*args, **kwargs)
            if update_fields is None or "email" in update_fields:
                self._confirm_address()

    def _confirm_address(self) -> None:
        address = self.email.lower()
        EmailAddress.objects.filter(user=self, email=address, primary=False).delete()
        EmailAddress.objects.update_or_create(user=self, primary=True, defaults={"email": address, "verified": True})

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.get_full_name()


class Account(models.Model):
    """A managing entity of Wink: who owns webhooks, and whose events they get."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=200)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    members: "models.ManyToManyField[User, Membership]" = models.ManyToManyField(
        User, through="Membership", related_name="accounts", verbose_name=_("members")
    )

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def members_locked(self) -> Iterator[None]:
        """Let those who change the members take turns, in a transaction each, so that all see what is so now."""
        with transaction.atomic():
            # In this strength it keeps nobody from adding rows that point at the account.
            Account.objects.select_for_update(no_key=True).get(pk=self.pk)
            yield


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    MANAGER = "manager", _("Manager")
    VIEWER = "viewer", _("Viewer")


class LastOwner(Exception):
    """The account would be left without an owner."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.account = account


class Membership(models.Model):
    """What a user may do in an account; `access` says what that is."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", verbose_name=_("user"))
    account = models.ForeignKey(Account, models.CASCADE, related_name="memberships", verbose_name=_("account"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "account"],
                name="membership_unique",
                violation_error_message=_("This user is in the account already."),
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.account} · {self.get_role_display()}"

    def change_role(self, role: str) -> bool:
        """Give the member another role, and return whether there still was such a member; raise LastOwner."""
        with self.account.members_locked():
            if role != Role.OWNER and self.is_last_owner():
                raise LastOwner(self.account)
            earlier = Membership.objects.filter(pk=self.pk).values_list("role", flat=True).first()
            changed = Membership.objects.filter(pk=self.pk).update(role=role)
            if changed and earlier != role:
                self.note(audit.Action.MEMBER_CHANGED, {"role": (earlier, role)})
            return bool(changed)

    def end(self, by: User | None = None) -> bool:
        """Take the user out of the account, and return whether they were in it; raise LastOwner."""
        with self.account.members_locked():
            if self.is_last_owner():
                raise LastOwner(self.account)
            ended, _ = Membership.objects.filter(pk=self.pk).delete()
            if ended:
                action = audit.Action.MEMBER_LEFT if by == self.user else audit.Action.MEMBER_REMOVED
                self.note(action, {"role": (self.role, None)})
            return bool(ended)

    def note(self, action: audit.Action, changes: dict[str, tuple[str | None, str | None]]) -> None:
        """Write into the change history what was done to the member. Call it in the transaction of the change."""
        audit.record(
            action,
            account=self.account_id,
            target=self.user.get_full_name(),
            target_id=self.user_id,
            changes=changes,
        )

    def is_last_owner(self) -> bool:
        owners = Membership.objects.filter(account=self.account_id, role=Role.OWNER)
        return list(owners.values_list("pk", flat=True)[:2]) == [self.pk]


def generate_nonce() -> str:
    return secrets.token_urlsafe(16)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        """Keep those that were neither accepted nor withdrawn, expired ones among them: they can be sent again."""
        return self.filter(accepted_at=None, withdrawn_at=None)

    def usable(self, moment: datetime) -> Self:
        """Keep those that can be accepted at `moment`."""
        return self.open().filter(expires_at__gt=moment)

    def to(self, email: str) -> Self:
        return self.alias(lower_email=Lower("email")).filter(lower_email=email.lower())


class Invitation(models.Model):
    """What makes whoever reads the mail of an address a member of an account; `invitations` says how."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(Account, models.CASCADE, related_name="invitations", verbose_name=_("account"))
    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.VIEWER)
    invited_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("invited by"), editable=False
    )
    # That of the inviter. The e-mail is in it, unless it goes to a user who chose another.
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, editable=False)
    # A part of the link, so that a new one ends the links before it. A link is signed besides.
    nonce = models.CharField(max_length=22, default=generate_nonce, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), editable=False)
    accepted_at = models.DateTimeField(_("accepted"), null=True, editable=False)
    accepted_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("accepted by"), editable=False
    )
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, editable=False)
    withdrawn_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("withdrawn by"), editable=False
    )
    send_after = models.DateTimeField(
        _("e-mail not before"),
        null=True,
        editable=False,
        help_text=_("Set while an e-mail is to be sent; moved on while a worker sends it, and after a failure."),
    )
    sent_at = models.DateTimeField(
        _("e-mail sent"),
        null=True,
        editable=False,
        help_text=_("Neither sent nor to be sent: the mail server refused the address."),
    )

    objects: ClassVar[InvitationQuerySet] = InvitationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "account",
                Lower("email"),
                name="invitation_open_unique",
                condition=models.Q(accepted_at=None, withdrawn_at=None),
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role_known"),
            models.CheckConstraint(
                condition=models.Q(accepted_at=None) | models.Q(withdrawn_at=None), name="invitation_ended_once"
            ),
        ]
        indexes = [
            models.Index(fields=["send_after"], name="invitation_to_send", condition=models.Q(send_after__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.email} · {self.account} · {self.get_role_display()}"

    @property
    def has_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    def is_to(self, user: User) -> bool:
        return self.email.lower() == user.email.lower()


class Letter(models.Model):
    """An e-mail about signing in that is to be sent; `letters` sends it, and then it is gone."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    to = models.EmailField()
    language = models.CharField(max_length=10)
    subject = models.CharField(max_length=255)
    # It may hold a link with which a password can be reset.
    text = EncryptedTextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    send_after = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return self.to
