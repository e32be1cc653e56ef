"""The people of the tests of security, and one row of everything in an account."""

import json
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.webauthn.internal.auth import WebAuthn
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from accounts import invitations
from accounts.audit import Action, AuditEntry
from accounts.models import Account, Invitation, Membership, Role, User
from tests.conftest import PASSWORD, make_member, make_user
from tests.passkeys import Passkey
from tests.webhooks.admin.pages import make_attempt, make_delivery, make_recovery
from webhooks import notice_link
from webhooks.models import Attempt, Delivery, Event, Recovery, Webhook

PEOPLE = ("anonymous", "stranger", "viewer", "manager", "owner", "invited", "staff", "superuser")


@dataclass(frozen=True)
class Estate:
    """An account with one of each thing in it."""

    account: Account
    owner: User
    colleague: Membership
    invitation: Invitation
    webhook: Webhook
    delivery: Delivery
    attempt: Attempt
    recovery: Recovery

    @property
    def event(self) -> Event:
        return self.delivery.event

    def ids(self) -> dict[str, UUID]:
        """Return what stands in the paths of the portal."""
        return {
            "account_id": self.account.pk,
            "membership_id": self.colleague.pk,
            "invitation_id": self.invitation.pk,
            "webhook_id": self.webhook.pk,
            "event_id": self.event.pk,
            "delivery_id": self.delivery.pk,
            "recovery_id": self.recovery.pk,
        }

    def rows(self) -> dict[str, Any]:
        """Return the ids of a row for each model of the administration, by where its pages are."""
        return {
            "accounts/account": self.account.pk,
            "accounts/user": self.owner.pk,
            "accounts/membership": self.colleague.pk,
            "accounts/invitation": self.invitation.pk,
            "accounts/auditentry": AuditEntry.objects.filter(account=self.account.pk).earliest("pk").pk,
            "webhooks/webhook": self.webhook.pk,
            "webhooks/event": self.event.pk,
            "webhooks/delivery": self.delivery.pk,
            "webhooks/attempt": self.attempt.pk,
            "webhooks/recovery": self.recovery.pk,
            "webhooks/eventtype": "booking.created",
            "auth/group": Group.objects.get_or_create(name="Support")[0].pk,
        }


def make_estate(name: str) -> Estate:
    account = Account.objects.create(name=name)
    mailbox = f"{account.pk.hex}@example.com"
    owner = make_member(account, Role.OWNER, f"owner-{mailbox}")
    colleague = make_member(account, Role.VIEWER, f"colleague-{mailbox}").memberships.get()
    invitation = Invitation.objects.create(
        account=account,
        email=f"invited-{mailbox}",
        invited_by=owner,
        language="en",
        expires_at=timezone.now() + timedelta(days=7),
        sent_at=timezone.now(),
    )
    webhook = Webhook.objects.register(
        account=account, name=f"Webhook of {name}", url="https://x.example/", enabled=True, event_types=[], by=owner
    )
    delivery = make_delivery(webhook, "RETRYING")
    return Estate(
        account=account,
        owner=owner,
        colleague=colleague,
        invitation=invitation,
        webhook=webhook,
        delivery=delivery,
        attempt=make_attempt(delivery),
        recovery=make_recovery(webhook),
    )


def make_person(who: str, estate: Estate) -> User | None:
    """Return one of PEOPLE, as seen from the account of `estate`."""
    match who:
        case "anonymous":
            return None
        case "stranger":
            return make_estate("Another Account").owner
        case "owner":
            return estate.owner
        case "viewer" | "manager":
            return make_member(estate.account, Role(who), f"{who}@example.com")
        case "invited":
            return make_user(estate.invitation.email)
        case "superuser":
            return User.objects.create_superuser("root@example.com", PASSWORD)
    staff = make_user("staff@example.com")
    staff.is_staff = True
    staff.save()
    return staff


def let_view_everything(user: User) -> None:
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))


def signed_in(user: User | None, **options: Any) -> Client:
    """Return a client of the user, who has just confirmed that it is they."""
    client = Client(**options)
    if user:
        client.force_login(user)
        session = client.session
        session["account_authentication_methods"] = [{"method": "password", "at": time.time(), "reauthenticated": True}]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
    return client


def make_second_factors(user: User) -> Authenticator:
    """Give the user an app, recovery codes, and the passkey that is returned."""
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    options = {"publicKey": {"challenge": "Y2hhbGxlbmdl", "user": {"id": ""}}}
    passkey: Authenticator = WebAuthn.add(user, "Laptop", json.loads(Passkey().register(options))).instance
    return passkey


def path_values(estate: Estate) -> dict[str, Any]:
    """Return all that stands in the paths of the portal and of the administration."""
    passkeys = Authenticator.objects.filter(user=estate.owner, type=Authenticator.Type.WEBAUTHN)
    passkey = passkeys.first() or make_second_factors(estate.owner)
    session, _ = UserSession.objects.get_or_create(user=estate.owner, ip="192.0.2.1", session_key="of-the-owner")
    return {
        **estate.rows(),
        **estate.ids(),
        "pk": passkey.pk,
        "session_id": session.pk,
        "uidb36": user_pk_to_url_str(estate.owner),
        "token": invitations.token_of(estate.invitation),
        "stop_token": notice_link.token_for(estate.colleague, estate.webhook),
        "key": "booking.created",
        "id": estate.owner.pk,
        "app_label": "webhooks",
        "content_type_id": ContentType.objects.get_for_model(Webhook).pk,
        "object_id": estate.webhook.pk,
        "url": "no-such-page",
    }


def unknown(existing: UUID) -> UUID:
    """Return an id that nothing has, beside one that something has: made at the same time."""
    return uuid.UUID(int=existing.int ^ 1)


def everything() -> dict[str, list[Any]]:
    """Return all that the tables of the portal hold, to be compared."""
    models: list[type[Any]] = [
        *apps.get_app_config("accounts").get_models(),
        *apps.get_app_config("webhooks").get_models(),
        *apps.get_app_config("account").get_models(),
        *apps.get_app_config("mfa").get_models(),
        *apps.get_app_config("usersessions").get_models(),
        LogEntry,
    ]
    return {model._meta.label: sorted(map(repr, _rows(model).values_list(*_columns(model)))) for model in models}


def _rows(model: Any) -> QuerySet[Any]:
    rows: QuerySet[Any] = model._default_manager.all()
    # Signing in is not what is looked at.
    return rows.exclude(action=Action.SIGNED_IN) if model is AuditEntry else rows


def _columns(model: Any) -> list[str]:
    return [field.name for field in model._meta.concrete_fields if field.name != "last_login"]
