from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from webhooks.models.event_type import EventType
from winkhooks.uuid7 import uuid7


class Event(models.Model):
    """Something that happened in an account. `webhooks.events.emit` makes it, in the transaction of what happened."""

    class Status(models.TextChoices):
        NEW = "NEW", _("New")
        DISPATCHED = "DISPATCHED", _("Dispatched")
        NO_SUBSCRIBERS = "NO_SUBSCRIBERS", _("No subscribers")

    class RecipientRole(models.TextChoices):
        SUPPLIER = "SUPPLIER", _("Supplier")
        AFFILIATE = "AFFILIATE", _("Affiliate")
        AGENT = "AGENT", _("Agent")
        SELF = "SELF", _("The account itself")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Its indexes all begin with something else that narrows more, so an index of the key alone would only cost.
    account = models.ForeignKey(
        Account, models.CASCADE, related_name="events", verbose_name=_("account"), db_index=False
    )
    type = models.ForeignKey(EventType, models.PROTECT, related_name="+", verbose_name=_("type"), db_index=False)
    occurred_at = models.DateTimeField(_("occurred"))
    recipient_role = models.CharField(_("recipient role"), max_length=10, choices=RecipientRole.choices)
    body = models.BinaryField(_("body"), help_text=_("The envelope: the exact bytes that are signed and sent."))
    idempotency_key = models.CharField(_("idempotency key"), max_length=255, null=True, blank=True)
    status = models.CharField(_("status"), max_length=14, choices=Status.choices, default=Status.NEW)
    delivery_count = models.PositiveIntegerField(
        _("deliveries"), default=0, help_text=_("For how many webhooks a delivery was made.")
    )
    # Stays in the table, so that processes of the version before can go on announcing events.
    is_test = models.BooleanField(
        _("test"),
        default=False,
        db_default=False,
        editable=False,
        help_text=_("Made by hand for one webhook: sent once, and saying nothing of how that is doing."),
    )
    dispatched_at = models.DateTimeField(
        _("dispatched"), null=True, help_text=_("It went to the webhooks that asked for it as of this moment.")
    )
    created_at = models.DateTimeField(_("announced"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=["NEW", "DISPATCHED", "NO_SUBSCRIBERS"]), name="event_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(recipient_role__in=["SUPPLIER", "AFFILIATE", "AGENT", "SELF"]),
                name="event_recipient_role_known",
            ),
            models.UniqueConstraint(
                fields=["account", "idempotency_key"],
                condition=models.Q(idempotency_key__isnull=False),
                name="event_idempotency_key_unique",
            ),
        ]
        indexes = [
            # Type and status stand in it for the list of an account: what its filters leave out is passed over in the
            # index, at a million entries in about a tenth of a second, and the engine keeps one index instead of three.
            # With whether it is a test it answers what a webhook never got, too.
            models.Index(fields=["account", "-id", "type", "status", "is_test"], name="event_search"),
            models.Index(fields=["id"], name="event_new", condition=models.Q(status="NEW")),
        ]

    def __str__(self) -> str:
        return f"{self.type_id} {self.id}"
