import base64
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import audit, limits
from accounts.models import Account, User
from webhooks.fields import EncryptedTextField
from webhooks.models.event_type import EventType
from webhooks.signing import SECRET_PREFIX
from winkhooks.uuid7 import uuid7

# What the owner of a webhook may set.
MOST_REQUESTS_PER_SECOND = 1000


def generate_secret() -> str:
    """Return a new signing secret: `whsec_` and base64 of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


class StaleVersion(Exception):
    """The webhook was changed since the version that a change started from."""


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def register(
        self,
        *,
        account: Account,
        name: str,
        url: str,
        enabled: bool,
        event_types: Iterable[EventType],
        by: User | None,
        **fields: Any,
    ) -> "Webhook":
        """Create a webhook with its events, all or nothing; raise TooLarge where the account has as many as it may."""
        with transaction.atomic():
            # Two at once take turns, so that the second one counts the first.
            Account.objects.select_for_update(no_key=True).only("pk").get(pk=account.pk)
            if self.present().filter(account=account).count() >= limits.MOST_WEBHOOKS:
                raise limits.TooLarge(
                    _("This account has %(count)d webhooks, which is the most. Remove one first.")
                    % {"count": limits.MOST_WEBHOOKS}
                )
            webhook = self.create(account=account, name=name, url=url, created_by=by, **fields)
            webhook.event_types.set(event_types)
            webhook.record(
                audit.Action.WEBHOOK_CREATED, by, {name: (None, value) for name, value in webhook._shown().items()}
            )
            if not enabled:
                webhook.disable(Webhook.DisabledReason.BY_USER, by)
            webhook._note_state(by)
        return webhook

    def present(self) -> Self:
        """Leave out removed webhooks, which stay in the table for the history of what was sent."""
        return self.filter(removed_at=None)

    def rationed(self) -> Self:
        """Keep those to which not all that is due may be sent: limited by their owner, or cooling down."""
        return self.filter(models.Q(rate_limit__isnull=False) | models.Q(cooling_until__isnull=False))

    def without_secrets(self) -> Self:
        """Leave the secrets in the database, encrypted: for all who do not sign."""
        return self.defer("secret", "previous_secret")

    def off(self) -> Self:
        """Keep those to which nothing is sent any more."""
        return self.filter(models.Q(enabled=False) | models.Q(removed_at__isnull=False))


class Webhook(models.Model):
    """An address of an account to which its events are sent."""

    class DisabledReason(models.TextChoices):
        BY_USER = "BY_USER", _("Disabled by hand")
        GONE = "GONE", _("The receiver answered 410 Gone")
        FAILING = "FAILING", _("It kept failing")

    class NotifiedState(models.TextChoices):
        """What owners and managers know of the health of a webhook; nothing while it was healthy all the time."""

        FAILING = "FAILING", _("Told that it is failing")
        DISABLED = "DISABLED", _("Told that it was disabled")
        # Told either of that, and then somebody enabled it; no delivery has shown yet whether it works.
        RESUMED = "RESUMED", _("Enabled again")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(Account, models.CASCADE, related_name="webhooks", verbose_name=_("account"))
    name = models.CharField(_("name"), max_length=200)
    enabled = models.BooleanField(_("enabled"), default=True)
    url = models.CharField(_("URL"), max_length=2048)
    event_types = models.ManyToManyField(
        EventType,
        related_name="webhooks",
        blank=True,
        verbose_name=_("events"),
        help_text=_("None chosen = all events."),
    )
    secret = EncryptedTextField(_("signing secret"), default=generate_secret, editable=False)
    previous_secret = EncryptedTextField(_("previous signing secret"), blank=True, editable=False)
    previous_secret_expires_at = models.DateTimeField(_("previous secret valid until"), null=True, editable=False)
    disabled_at = models.DateTimeField(_("disabled"), null=True, editable=False)
    disabled_reason = models.CharField(
        _("why disabled"), max_length=10, choices=DisabledReason.choices, blank=True, editable=False
    )
    disabled_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("disabled by"), editable=False
    )
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    consecutive_failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    cooling_until = models.DateTimeField(
        _("cooling until"),
        null=True,
        editable=False,
        help_text=_("After many failures in a row nothing is sent until then; after it, one delivery is tried."),
    )
    cooling_seconds = models.PositiveIntegerField(
        _("length of the rest"), default=0, editable=False, help_text=_("In seconds; it doubles from one to the next.")
    )
    rate_limit = models.PositiveIntegerField(
        _("requests per second, at most"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_REQUESTS_PER_SECOND)],
        help_text=_("What is over the limit waits, and uses up no attempt. Empty: no limit."),
    )
    rate_tokens = models.FloatField(default=0, editable=False)
    rate_tokens_at = models.DateTimeField(null=True, editable=False)
    notified_state = models.CharField(
        _("what members were told"),
        max_length=8,
        choices=NotifiedState.choices,
        blank=True,
        default="",
        # Stays in the table, so that processes of the version before can go on making webhooks.
        db_default="",
        editable=False,
    )
    notified_at = models.DateTimeField(_("told"), null=True, editable=False)
    notify_after = models.DateTimeField(
        _("next notice not before"),
        null=True,
        editable=False,
        help_text=_("Set while a worker sends a notice, and after the mail server failed."),
    )
    version = models.PositiveIntegerField(
        _("version"), default=1, editable=False, help_text=_("Goes up with every change.")
    )
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("created by"), editable=False
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    removed_at = models.DateTimeField(_("removed"), null=True, editable=False)
    removed_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("removed by"), editable=False
    )

    objects: ClassVar[WebhookQuerySet] = WebhookQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(disabled_reason__in=["", "BY_USER", "GONE", "FAILING"]),
                name="webhook_disabled_reason_known",
            ),
            models.CheckConstraint(
                condition=models.Q(enabled=True, disabled_at=None, disabled_reason="")
                | models.Q(enabled=False, disabled_at__isnull=False) & ~models.Q(disabled_reason=""),
                name="webhook_disabled_with_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(notified_state__in=["", "FAILING", "DISABLED", "RESUMED"]),
                name="webhook_notified_state_known",
            ),
        ]
        indexes = [
            # Those that the engine asks about one by one before it takes anything for them.
            models.Index(
                fields=["id"],
                name="webhook_rationed",
                condition=models.Q(rate_limit__isnull=False) | models.Q(cooling_until__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def change(
        self,
        *,
        version: int,
        name: str,
        url: str,
        enabled: bool,
        event_types: Iterable[EventType],
        rate_limit: int | None,
        by: User,
    ) -> None:
        """Write what somebody changed, all or nothing; raise StaleVersion where it is not at `version` any more."""
        with transaction.atomic():
            earlier = Webhook.objects.without_secrets().filter(pk=self.pk, version=version).first()
            if earlier is None:
                raise StaleVersion
            shown_earlier = earlier._shown()
            # The condition decides between two who save at once: the second one waits here for the first, and fails.
            changed = (
                Webhook.objects.present()
                .filter(pk=self.pk, version=version)
                .update(
                    name=name,
                    url=url,
                    rate_limit=rate_limit,
                    version=models.F("version") + 1,
                    updated_at=timezone.now(),
                )
            )
            if not changed:
                raise StaleVersion
            self.event_types.set(event_types)
            self.refresh_from_db(fields=["name", "url", "rate_limit"])
            changes = {field: (shown_earlier[field], value) for field, value in self._shown().items()}
            if earlier.url != self.url or any(old != new for old, new in changes.values()):
                self.record(audit.Action.WEBHOOK_CHANGED, by, changes)
            if enabled:
                self.enable(by)
            else:
                self.disable(Webhook.DisabledReason.BY_USER, by)
            self._note_state(by)
        self.refresh_from_db()

    def disable(self, reason: DisabledReason, by: User | None = None) -> bool:
        """Switch the webhook off and cancel what waits, its recoveries too; return whether it was on."""
        with transaction.atomic():
            changed = (
                Webhook.objects.present()
                .filter(pk=self.pk, enabled=True)
                .update(
                    enabled=False,
                    disabled_at=timezone.now(),
                    disabled_reason=reason,
                    disabled_by=by,
                    version=models.F("version") + 1,
                    updated_at=timezone.now(),
                )
            )
            if changed:
                self.record(_DISABLED_ACTIONS[reason], by, door=None if reason == "BY_USER" else audit.Door.ENGINE)
                self._note_state(by)
                self.cancel_recoveries("WEBHOOK_DISABLED", by)
                self._cancel_deliveries("WEBHOOK_DISABLED")
        self.refresh_from_db()
        return bool(changed)

    def enable(self, by: User | None = None) -> bool:
        """Switch the webhook on, with its failures forgotten; return whether it was off."""
        with transaction.atomic():
            changed = (
                Webhook.objects.present()
                .filter(pk=self.pk, enabled=False)
                .update(
                    enabled=True,
                    disabled_at=None,
                    disabled_reason="",
                    disabled_by=None,
                    failing_since=None,
                    consecutive_failures=0,
                    cooling_until=None,
                    cooling_seconds=0,
                    # Who was told of trouble is told of its end, once a delivery shows it.
                    notified_state=models.Case(
                        models.When(notified_state="", then=models.Value("")),
                        default=models.Value(Webhook.NotifiedState.RESUMED),
                    ),
                    notified_at=timezone.now(),
                    version=models.F("version") + 1,
                    updated_at=timezone.now(),
                )
            )
            if changed:
                self.record(audit.Action.WEBHOOK_ENABLED, by)
                self._note_state(by)
        self.refresh_from_db()
        return bool(changed)

    def remove(self, by: User | None) -> bool:
        """Take the webhook away for good, cancel what waits and forget its secrets; the history stays."""
        with transaction.atomic():
            changed = (
                Webhook.objects.present()
                .filter(pk=self.pk)
                .update(
                    removed_at=timezone.now(),
                    removed_by=by,
                    secret="",
                    previous_secret="",
                    previous_secret_expires_at=None,
                    version=models.F("version") + 1,
                )
            )
            if changed:
                self.record(audit.Action.WEBHOOK_REMOVED, by)
                self._note_state(by)
                self.cancel_recoveries("WEBHOOK_REMOVED", by)
                self._cancel_deliveries("WEBHOOK_REMOVED")
        self.refresh_from_db()
        return bool(changed)

    def rotate_secret(self, previous_valid_until: datetime | None, by: User | None = None) -> None:
        """Make a new signing secret; with a time given, the present one signs beside it until then.

        Raise DoesNotExist where the webhook was removed, and ImproperlyConfigured where the present secret is to stay
        valid and cannot be read; and TooMany where `by` has made many lately.
        """
        with transaction.atomic():
            if by:
                limits.check(limits.SECRETS, by)
            webhooks = Webhook.objects.present().select_for_update(no_key=True)
            # Without an overlap the old one need not be read, so that one whose key was lost can be replaced.
            webhook = (webhooks if previous_valid_until else webhooks.without_secrets()).get(pk=self.pk)
            webhook.previous_secret = webhook.secret if previous_valid_until else ""
            webhook.previous_secret_expires_at = previous_valid_until
            webhook.secret = generate_secret()
            webhook.version += 1
            webhook.save(
                update_fields=["secret", "previous_secret", "previous_secret_expires_at", "version", "updated_at"]
            )
            webhook.record(
                audit.Action.SECRET_ROTATED, by, {"previous_secret_valid_until": (None, previous_valid_until)}
            )
        self.refresh_from_db()

    def end_overlap(self, by: User | None = None) -> bool:
        """Let the previous secret sign no more; return whether there was one."""
        with transaction.atomic():
            changed = Webhook.objects.filter(pk=self.pk, previous_secret_expires_at__isnull=False).update(
                previous_secret="",
                previous_secret_expires_at=None,
                version=models.F("version") + 1,
                updated_at=timezone.now(),
            )
            if changed:
                self.record(audit.Action.SECRET_OVERLAP_ENDED, by)
        self.refresh_from_db()
        return bool(changed)

    def cancel_recoveries(self, reason: str, by: User | None = None) -> None:
        """Let no recovery of it take up anything more; a step of each then cancels what waits of it."""
        self.recoveries.cancel(reason, by)

    def reason_to_cancel(self, *, replay: bool) -> str:
        """Say why a delivery to it is not sent, as a `Delivery.EndReason`; empty where it is.

        A replay goes to a disabled webhook, too: who asked for it knew. Disabling the webhook later cancels it.
        """
        if self.removed_at:
            return "WEBHOOK_REMOVED"
        return "" if self.enabled or replay else "WEBHOOK_DISABLED"

    def valid_secrets(self, moment: datetime) -> list[str]:
        """Return the secrets that sign at `moment`, newest first."""
        if self.previous_secret and self.previous_secret_expires_at and moment < self.previous_secret_expires_at:
            return [self.secret, self.previous_secret]
        return [self.secret]

    def record(
        self,
        action: audit.Action,
        by: User | None = None,
        changes: dict[str, tuple[Any, Any]] | None = None,
        *,
        target_id: UUID | None = None,
        count: int | None = None,
        door: audit.Door | None = None,
    ) -> None:
        """Write into the account's change history what was done to it. Call it in the transaction of the change."""
        audit.record(
            action,
            account=self.account_id,
            webhook=self.pk,
            target=self.name,
            target_id=target_id,
            actor=by,
            changes=changes,
            count=count,
            door=door,
        )

    def _shown(self) -> dict[str, Any]:
        """Return what the change history shows of it."""
        return {
            "name": self.name,
            "url": audit.masked_url(self.url),
            "event_types": list(self.event_types.order_by("key").values_list("key", flat=True)),
            "rate_limit": self.rate_limit,
        }

    def _note_state(self, by: User | None) -> None:
        """Write down what the webhook is from now on, unless that is what it was.

        Call it in the transaction of the change, which has locked the webhook, so that its states have an order.
        """
        self.refresh_from_db(fields=["enabled", "disabled_at", "disabled_reason", "disabled_by", "removed_at"])
        state = {
            "enabled": self.enabled,
            "disabled_at": self.disabled_at,
            "disabled_reason": self.disabled_reason,
            "disabled_by_id": self.disabled_by_id,
            "removed": self.removed_at is not None,
            "event_types": list(self.event_types.order_by("key").values_list("key", flat=True)),
        }
        if self.states.values(*state).first() != state:
            self.states.create(by=by, **state)

    def _cancel_deliveries(self, reason: str) -> None:
        # Those under way are left to the engine, which ends them when the answer is there: an UPDATE here and one there
        # would lock the same rows in different orders.
        self.deliveries.not_under_way().cancel(reason)


_DISABLED_ACTIONS: dict[str, audit.Action] = {
    Webhook.DisabledReason.BY_USER: audit.Action.WEBHOOK_DISABLED,
    Webhook.DisabledReason.GONE: audit.Action.WEBHOOK_GONE,
    Webhook.DisabledReason.FAILING: audit.Action.WEBHOOK_FAILING,
}
