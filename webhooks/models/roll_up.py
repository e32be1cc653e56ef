from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from webhooks.models.webhook import Webhook

WITHIN_MS = (10, 20, 50, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000)
"""The upper bounds of the response times that are counted together; there is a column for each."""


class HourlyCount(models.Model):
    """How the attempts of an hour at a webhook ended, and how long the answers took. `webhooks.rollups` writes it.

    An attempt belongs to the hour in which it was written down. `failed` ones were to be tried again; `died` says how
    many were the last of their delivery. Each answer, whatever its status, is in one of the columns of response times.
    """

    pk = models.CompositePrimaryKey("webhook", "hour")
    webhook = models.ForeignKey(
        Webhook, models.CASCADE, related_name="hourly_counts", verbose_name=_("webhook"), db_index=False
    )
    hour = models.DateTimeField(_("hour"))
    succeeded = models.PositiveIntegerField(_("succeeded"), default=0)
    failed = models.PositiveIntegerField(_("failed and tried again"), default=0)
    died = models.PositiveIntegerField(_("given up"), default=0)
    within_10_ms = models.PositiveIntegerField(default=0)
    within_20_ms = models.PositiveIntegerField(default=0)
    within_50_ms = models.PositiveIntegerField(default=0)
    within_100_ms = models.PositiveIntegerField(default=0)
    within_150_ms = models.PositiveIntegerField(default=0)
    within_200_ms = models.PositiveIntegerField(default=0)
    within_300_ms = models.PositiveIntegerField(default=0)
    within_500_ms = models.PositiveIntegerField(default=0)
    within_750_ms = models.PositiveIntegerField(default=0)
    within_1000_ms = models.PositiveIntegerField(default=0)
    within_1500_ms = models.PositiveIntegerField(default=0)
    within_2000_ms = models.PositiveIntegerField(default=0)
    within_3000_ms = models.PositiveIntegerField(default=0)
    within_5000_ms = models.PositiveIntegerField(default=0)
    within_10000_ms = models.PositiveIntegerField(default=0)
    slower = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("hourly count")
        verbose_name_plural = _("hourly counts")

    def __str__(self) -> str:
        return f"{self.webhook_id} {self.hour:%Y-%m-%d %H}"


class RollUpMark(models.Model):
    """How far the attempts are counted; a single row, whose lock lets one process at a time count."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    last_attempt_id = models.UUIDField(default=UUID(int=0), editable=False)

    class Meta:
        verbose_name = _("roll-up mark")
        verbose_name_plural = _("roll-up marks")

    def __str__(self) -> str:
        return str(self.last_attempt_id)
