from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from webhooks.models.webhook import Webhook
from winkhooks.uuid7 import uuid7

if TYPE_CHECKING:
    from webhooks.models.delivery import DeliveryQuerySet


class Standing(NamedTuple):
    """What became of the deliveries of a recovery. All of it together is its total."""

    arrived: int
    failed: int
    cancelled: int
    waiting: int
    # Not taken up yet; once it has finished: and never will be.
    left: int
    # Sent again since, or removed with age: they do not belong to it any more.
    gone: int


class RecoveryQuerySet(models.QuerySet["Recovery"]):
    def unfinished(self) -> Self:
        """Keep those for which there is something to do; a cancelled one as long as deliveries of it wait."""
        return self.filter(finished_at=None)

    def recent(self, most: int) -> Self:
        """Return those that have not finished, then those that were asked for last, with who asked."""
        newest = self.order_by(models.F("finished_at").desc(nulls_first=True), "-pk")
        return newest.select_related("requested_by")[:most]

    def cancel(self, reason: "Recovery.EndReason | str", by: User | None = None) -> int:
        """Take nothing up any more; return how many changed. `recovery.step` cancels what waits of them."""
        return self.filter(status__in=[Recovery.Status.WAITING, Recovery.Status.RUNNING]).update(
            status=Recovery.Status.CANCELLED, end_reason=reason, cancelled_by=by
        )


class Recovery(models.Model):
    """Events of the past that somebody has sent to a webhook; `webhooks.recovery` works through them."""

    class Kind(models.TextChoices):
        FAILED = "FAILED", _("What failed")
        MISSED = "MISSED", _("What it never got")

    class Status(models.TextChoices):
        WAITING = "WAITING", _("About to start")
        RUNNING = "RUNNING", _("Running")
        DONE = "DONE", _("Done")
        CANCELLED = "CANCELLED", _("Cancelled")

    class EndReason(models.TextChoices):
        BY_USER = "BY_USER", _("Cancelled by hand")
        WEBHOOK_DISABLED = "WEBHOOK_DISABLED", _("The webhook was disabled")
        WEBHOOK_REMOVED = "WEBHOOK_REMOVED", _("The webhook was removed")
        GONE = "GONE", _("The receiver answered 410 Gone")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="recoveries", verbose_name=_("webhook"))
    kind = models.CharField(_("kind"), max_length=6, choices=Kind.choices)
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("to"))
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.WAITING)
    end_reason = models.CharField(_("why it ended"), max_length=16, choices=EndReason.choices, blank=True)
    total = models.PositiveIntegerField(_("total"), help_text=_("What it found when it was asked for."))
    replayed = models.PositiveIntegerField(
        _("taken up"), default=0, help_text=_("How many deliveries it has handed to the engine.")
    )
    # What comes behind it is still to be looked at: the id of a delivery, or of an event.
    cursor = models.UUIDField(null=True, editable=False)
    requested_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("requested by"), editable=False
    )
    requested_at = models.DateTimeField(_("requested"), default=timezone.now, editable=False)
    cancelled_by = models.ForeignKey(
        User, models.SET_NULL, null=True, related_name="+", verbose_name=_("cancelled by"), editable=False
    )
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)

    deliveries: "DeliveryQuerySet"
    objects: ClassVar[RecoveryQuerySet] = RecoveryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("recovery")
        verbose_name_plural = _("recoveries")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=["FAILED", "MISSED"]), name="recovery_kind_known"),
            models.CheckConstraint(
                condition=models.Q(status__in=["WAITING", "RUNNING"], finished_at=None, end_reason="")
                | models.Q(status="DONE", finished_at__isnull=False, end_reason="")
                | models.Q(status="CANCELLED") & ~models.Q(end_reason=""),
                name="recovery_status_fits_end",
            ),
            models.CheckConstraint(
                condition=models.Q(replayed__lte=models.F("total")), name="recovery_replayed_within_total"
            ),
            # It is also the index by which the sweep finds what there is to do.
            models.UniqueConstraint(
                fields=["webhook", "kind"],
                condition=models.Q(finished_at=None),
                name="recovery_one_of_a_kind_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.webhook_id}"

    @property
    def is_running(self) -> bool:
        """Whether it can be cancelled."""
        return self.status in (Recovery.Status.WAITING, Recovery.Status.RUNNING)

    def standing(self) -> Standing:
        """Count what became of its deliveries, by the index that has those of recoveries alone."""
        # To count ids, PostgreSQL would read each delivery.
        counts = dict(self.deliveries.order_by().values_list("status").annotate(count=models.Count("*")))
        return Standing(
            arrived=counts.get("SUCCEEDED", 0),
            failed=counts.get("DEAD", 0),
            cancelled=counts.get("CANCELLED", 0),
            waiting=counts.get("PENDING", 0) + counts.get("RETRYING", 0),
            left=self.total - self.replayed,
            gone=self.replayed - sum(counts.values()),
        )
