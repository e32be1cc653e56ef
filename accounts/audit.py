"""The change history: who did what to which account, webhook, secret, member, recovery or delivery, and from where.

The operations that change something call `record` in the transaction of the change, so that neither is there without
the other. Entries are only ever added; the database itself refuses to change them, and to remove them before their
time. They hold names as they were, and no secrets.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from celery._state import get_current_task
from django.conf import settings
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from winkhooks.client_address import client_address
from winkhooks.uuid7 import first_uuid7_at, uuid7

if TYPE_CHECKING:
    from accounts.models import User

# The triggers of the table let rows of this age go. Change both.
KEEP_DAYS = 400
PURGE_BATCH = 5000
MASK = "…"


class Door(models.TextChoices):
    """How somebody came to do it."""

    PORTAL = "PORTAL", _("Portal")
    ADMIN = "ADMIN", _("Administration")
    COMMAND = "COMMAND", _("Command")
    ENGINE = "ENGINE", _("Automatic")


class Action(models.TextChoices):
    """What was done, each with the sentence that says so. What stands before the point is its kind."""

    ACCOUNT_CREATED = "account.created", _("The account was created.")
    ACCOUNT_CHANGED = "account.changed", _("The account was changed.")
    MEMBER_ADDED = "member.added", _("%(target)s was made a member.")
    MEMBER_JOINED = "member.joined", _("%(target)s accepted the invitation and became a member.")
    MEMBER_CHANGED = "member.changed", _("The role of %(target)s was changed.")
    MEMBER_REMOVED = "member.removed", _("%(target)s was removed from the account.")
    MEMBER_LEFT = "member.left", _("%(target)s left the account.")
    INVITATION_SENT = "invitation.sent", _("%(target)s was invited.")
    INVITATION_RESENT = "invitation.resent", _("The invitation of %(target)s was sent again, with a new link.")
    INVITATION_WITHDRAWN = "invitation.withdrawn", _("The invitation of %(target)s was withdrawn.")
    WEBHOOK_CREATED = "webhook.created", _("The webhook “%(target)s” was created.")
    WEBHOOK_CHANGED = "webhook.changed", _("The webhook “%(target)s” was changed.")
    WEBHOOK_ENABLED = "webhook.enabled", _("The webhook “%(target)s” was enabled.")
    WEBHOOK_DISABLED = "webhook.disabled", _("The webhook “%(target)s” was disabled.")
    WEBHOOK_GONE = "webhook.gone", _("The webhook “%(target)s” was disabled: its receiver answered 410 Gone.")
    WEBHOOK_FAILING = "webhook.failing", _("The webhook “%(target)s” was disabled: it kept failing.")
    WEBHOOK_REMOVED = "webhook.removed", _("The webhook “%(target)s” was removed.")
    SECRET_ROTATED = "secret.rotated", _("The webhook “%(target)s” got a new signing secret.")
    SECRET_OVERLAP_ENDED = (
        "secret.overlap_ended",
        _("The previous signing secret of the webhook “%(target)s” was made invalid."),
    )
    TEST_EVENT_SENT = "test_event.sent", _("A test event was sent to the webhook “%(target)s”.")
    RECOVERY_STARTED = "recovery.started", _("A recovery of the webhook “%(target)s” was started.")
    RECOVERY_CANCELLED = "recovery.cancelled", _("A recovery of the webhook “%(target)s” was cancelled.")
    DELIVERY_RETRIED = "delivery.retried", _("“Retry now” was used for deliveries to the webhook “%(target)s”.")
    DELIVERY_CANCELLED = "delivery.cancelled", _("Deliveries to the webhook “%(target)s” were cancelled.")
    DELIVERY_REDELIVERED = "delivery.redelivered", _("Deliveries to the webhook “%(target)s” were sent again.")
    SIGNED_IN = "sign_in.succeeded", _("%(target)s signed in.")
    SIGNED_OUT = "sign_in.ended", _("%(target)s signed out.")
    SIGN_IN_FAILED = "sign_in.failed", _("Somebody failed to sign in as %(target)s.")
    EMAIL_CHANGED = "sign_in.email_changed", _("%(target)s signs in with another e-mail address.")
    PASSWORD_CHANGED = "sign_in.password_changed", _("The password of %(target)s was changed.")
    SECOND_FACTOR_ADDED = "sign_in.factor_added", _("%(target)s got another second factor.")
    SECOND_FACTOR_REMOVED = "sign_in.factor_removed", _("A second factor of %(target)s was removed.")
    SECOND_FACTOR_RESET = "sign_in.factor_reset", _("%(target)s got new recovery codes.")
    USER_CREATED = "user.created", _("The user %(target)s was created.")
    USER_CHANGED = "user.changed", _("The user %(target)s was changed.")
    GROUP_CREATED = "group.created", _("The group of staff “%(target)s” was created.")
    GROUP_CHANGED = "group.changed", _("The group of staff “%(target)s” was changed.")
    GROUP_REMOVED = "group.removed", _("The group of staff “%(target)s” was removed.")


# What is done to many at a time, with how many.
COUNTED: Mapping[str, Any] = {
    Action.DELIVERY_RETRIED: ngettext_lazy(
        "“Retry now” was used for %(count)d delivery to the webhook “%(target)s”.",
        "“Retry now” was used for %(count)d deliveries to the webhook “%(target)s”.",
        "count",
    ),
    Action.DELIVERY_CANCELLED: ngettext_lazy(
        "%(count)d delivery to the webhook “%(target)s” was cancelled.",
        "%(count)d deliveries to the webhook “%(target)s” were cancelled.",
        "count",
    ),
    Action.DELIVERY_REDELIVERED: ngettext_lazy(
        "%(count)d delivery to the webhook “%(target)s” was sent again.",
        "%(count)d deliveries to the webhook “%(target)s” were sent again.",
        "count",
    ),
}
KINDS: Mapping[str, Promise | str] = {
    "account": _("Account"),
    "member": _("Members"),
    "invitation": _("Invitations"),
    "webhook": _("Webhooks"),
    "secret": _("Signing secrets"),
    "test_event": _("Test events"),
    "recovery": _("Recoveries"),
    "delivery": _("Deliveries"),
    "sign_in": _("Signing in"),
    "user": _("Users"),
    "group": _("Groups of staff"),
}
# What belongs to no account.
KINDS_WITHOUT_ACCOUNT = {"sign_in", "user", "group"}


def actions_of(kind: str) -> list[str]:
    return [action for action in Action.values if action.startswith(f"{kind}.")]


class AppendOnly(TypeError):
    """Entries of the change history are neither changed nor removed."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly


class AuditEntry(models.Model):
    """Something that somebody did. Its id has the time at which it was recorded."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(_("time"), default=timezone.now, editable=False)
    # The history stays as it was where an account or a user goes, so that nothing in the database ties it to them.
    account = models.ForeignKey(
        "accounts.Account",
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("account"),
    )
    action = models.CharField(_("action"), max_length=30)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("by"),
    )
    actor_name = models.CharField(_("name"), max_length=254, blank=True)
    webhook_id = models.UUIDField(_("webhook"), null=True)
    target_id = models.UUIDField(
        _("id"), null=True, help_text=_("Of the member, user, invitation, recovery or delivery.")
    )
    target_name = models.CharField(_("what"), max_length=254, blank=True)
    changes = models.JSONField(_("changes"), default=dict, help_text=_("By field: the old value and the new one."))
    count = models.PositiveIntegerField(_("how many"), null=True)
    door = models.CharField(_("through"), max_length=7, choices=Door.choices)
    address = models.GenericIPAddressField(_("from the address"), null=True)

    objects: ClassVar[AuditQuerySet] = AuditQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("entry of the change history")
        verbose_name_plural = _("change history")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "-id"], name="audit_account"),
            models.Index(fields=["actor", "-id"], name="audit_actor"),
            models.Index(
                fields=["webhook_id", "-id"], name="audit_webhook", condition=models.Q(webhook_id__isnull=False)
            ),
            models.Index(fields=["target_id", "-id"], name="audit_target", condition=models.Q(target_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.sentence

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly

    @property
    def sentence(self) -> str:
        """Say what was done, in the language of the page."""
        if self.count is not None and self.action in COUNTED:
            return str(COUNTED[self.action] % {"count": self.count, "target": self.target_name})
        return Action(self.action).label % {"target": self.target_name}


@dataclass(frozen=True)
class _Source:
    """Where what happens now comes from."""

    door: Door
    user: Any
    address: str | None


_source: ContextVar[_Source | None] = ContextVar("source", default=None)


@contextmanager
def acting(request: HttpRequest, door: Door) -> Iterator[None]:
    """Let what is recorded meanwhile count as done by the user of the request, from where it comes."""
    token = _source.set(_Source(door, getattr(request, "user", None), client_address(request)))
    try:
        yield
    finally:
        _source.reset(token)


def record(
    action: Action,
    *,
    account: UUID | None,
    target: str = "",
    target_id: UUID | None = None,
    webhook: UUID | None = None,
    actor: "User | None" = None,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
    count: int | None = None,
    door: Door | None = None,
) -> None:
    """Write down what is done, in the transaction that does it.

    Without an actor it is the user of the present request, unless the door is `Door.ENGINE`. Of the changes, those
    count whose two values differ; secrets must not be among them, and URLs come through `masked_url`.
    """
    source = _source.get()
    if door is None:
        door = source.door if source else Door.COMMAND if get_current_task() is None else Door.ENGINE
    if door == Door.ENGINE:
        source = None
    if actor is None and source is not None and getattr(source.user, "is_authenticated", False):
        actor = source.user
    AuditEntry.objects.create(
        account_id=account,
        action=action,
        actor_id=actor.pk if actor else None,
        actor_name=actor.get_full_name()[:254] if actor else "",
        webhook_id=webhook,
        target_id=target_id,
        target_name=target[:254],
        changes={field: values for field, values in _as_json(changes or {}) if values[0] != values[1]},
        count=count,
        door=door,
        address=source.address if source else None,
    )


def _as_json(changes: Mapping[str, tuple[Any, Any]]) -> Iterable[tuple[str, list[Any]]]:
    for field, values in changes.items():
        yield field, [value.isoformat() if isinstance(value, datetime) else value for value in values]


def masked_url(url: str) -> str:
    """Return `url` without what may be a key: user name and password, the values of its query, the fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{MASK}@{host}" if "@" in parts.netloc else host
    query = "&".join(_masked_pair(pair) for pair in parts.query.split("&")) if parts.query else ""
    return urlunsplit((parts.scheme, netloc, parts.path, query, MASK if parts.fragment else ""))


def _masked_pair(pair: str) -> str:
    name, equals, _value = pair.partition("=")
    # Without a name the whole of it may be the key.
    return f"{name}={MASK}" if equals else MASK


def purge() -> int:
    """Remove what is older than KEEP_DAYS, which the database allows; return how many."""
    removed = 0
    while True:
        old = AuditEntry.objects.filter(pk__lt=first_uuid7_at(timezone.now() - timedelta(days=KEEP_DAYS, hours=1)))
        ids = list(old.order_by("pk").values_list("pk", flat=True)[:PURGE_BATCH])
        # Past the methods above, which refuse; the triggers decide.
        models.QuerySet(AuditEntry).filter(pk__in=ids)._raw_delete("default")
        removed += len(ids)
        if len(ids) < PURGE_BATCH:
            return removed
