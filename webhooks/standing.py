"""How a webhook stands, in one word for people."""

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from webhooks.models import Webhook
from webhooks.models.webhook import WebhookQuerySet


class Standing(models.TextChoices):
    HEALTHY = "healthy", _("Enabled and healthy")
    FAILING = "failing", _("Failing")
    RESTING = "resting", _("Resting after failures")
    DISABLED = "disabled", _("Disabled")
    REMOVED = "removed", _("Removed")


# Those that a list without removed webhooks can be narrowed to.
LISTED_STANDINGS = [standing for standing in Standing if standing != Standing.REMOVED]


def standing_of(webhook: Webhook, now: datetime) -> Standing:
    if webhook.removed_at:
        return Standing.REMOVED
    if not webhook.enabled:
        return Standing.DISABLED
    if webhook.cooling_until and webhook.cooling_until > now:
        return Standing.RESTING
    return Standing.FAILING if webhook.failing_since else Standing.HEALTHY


def with_standing(webhooks: WebhookQuerySet, standing: str, now: datetime) -> WebhookQuerySet:
    """Keep those of which `standing_of` says `standing`, which is one of LISTED_STANDINGS."""
    enabled = webhooks.filter(removed_at=None, enabled=True)
    match standing:
        case Standing.DISABLED:
            return webhooks.filter(removed_at=None, enabled=False)
        case Standing.RESTING:
            return enabled.filter(cooling_until__gt=now)
        case Standing.FAILING:
            return enabled.filter(failing_since__isnull=False).exclude(cooling_until__gt=now)
        case _:
            return enabled.filter(failing_since=None).exclude(cooling_until__gt=now)
