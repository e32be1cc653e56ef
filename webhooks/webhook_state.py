"""How a webhook stands, in one word for people."""

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from webhooks.models import Webhook
from webhooks.models.webhook import WebhookQuerySet


class WebhookState(models.TextChoices):
    HEALTHY = "healthy", _("Enabled and healthy")
    FAILING = "failing", _("Failing")
    RESTING = "resting", _("Resting after failures")
    DISABLED = "disabled", _("Disabled")
    REMOVED = "removed", _("Removed")


# Those that a list without removed webhooks can be narrowed to.
LISTED_STATES = [state for state in WebhookState if state != WebhookState.REMOVED]


def state_of(webhook: Webhook, now: datetime) -> WebhookState:
    if webhook.removed_at:
        return WebhookState.REMOVED
    if not webhook.enabled:
        return WebhookState.DISABLED
    if webhook.cooling_until and webhook.cooling_until > now:
        return WebhookState.RESTING
    return WebhookState.FAILING if webhook.failing_since else WebhookState.HEALTHY


def in_state(webhooks: WebhookQuerySet, state: str, now: datetime) -> WebhookQuerySet:
    """Keep those of which `state_of` says `state`, which is one of LISTED_STATES."""
    enabled = webhooks.filter(removed_at=None, enabled=True)
    match state:
        case WebhookState.DISABLED:
            return webhooks.filter(removed_at=None, enabled=False)
        case WebhookState.RESTING:
            return enabled.filter(cooling_until__gt=now)
        case WebhookState.FAILING:
            return enabled.filter(failing_since__isnull=False).exclude(cooling_until__gt=now)
        case _:
            return enabled.filter(failing_since=None).exclude(cooling_until__gt=now)
