from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from webhooks.models.webhook import Webhook
from winkhooks.uuid7 import uuid7


class WebhookState(models.Model):
    """What a webhook was from one moment on, until its next state. The operations of `Webhook` write it.

    It tells later why a webhook got an event or not. A transaction writes the moment before it commits: to whoever read
    the webhook in between, it still was what it had been before.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(
        Webhook, models.CASCADE, related_name="states", verbose_name=_("webhook"), db_index=False
    )
    since = models.DateTimeField(_("since"), default=timezone.now)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("changed by"))
    enabled = models.BooleanField(_("enabled"))
    disabled_at = models.DateTimeField(_("disabled"), null=True)
    disabled_reason = models.CharField(
        _("why disabled"), max_length=10, choices=Webhook.DisabledReason.choices, blank=True
    )
    disabled_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("disabled by"))
    removed = models.BooleanField(_("removed"))
    event_types = models.JSONField(_("events"), help_text=_("Keys, in order. None = all events."))

    class Meta:
        verbose_name = _("state of a webhook")
        verbose_name_plural = _("states of webhooks")
        ordering = ["-since", "-id"]
        indexes = [models.Index(fields=["webhook", "-since"], name="webhookstate_webhook")]

    def __str__(self) -> str:
        return f"{self.webhook_id} {self.since:%Y-%m-%d %H:%M:%S}"

    def chose(self, event_type: str) -> bool:
        """Say whether the webhook asked for events of this type."""
        return not self.event_types or event_type in self.event_types
