from webhooks.admin.delivery import AttemptAdmin, DeliveryAdmin
from webhooks.admin.event import EventAdmin, EventTypeAdmin
from webhooks.admin.recovery import RecoveryAdmin
from webhooks.admin.webhook import WebhookAdmin

__all__ = ["AttemptAdmin", "DeliveryAdmin", "EventAdmin", "EventTypeAdmin", "RecoveryAdmin", "WebhookAdmin"]
