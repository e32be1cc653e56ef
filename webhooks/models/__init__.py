from webhooks.models.delivery import Attempt, Delivery
from webhooks.models.event import Event
from webhooks.models.event_type import EventType
from webhooks.models.notice_choice import NoticeChoice
from webhooks.models.recovery import Recovery
from webhooks.models.roll_up import HourlyCount, RollUpMark
from webhooks.models.webhook import StaleVersion, Webhook
from webhooks.models.webhook_state import WebhookState

__all__ = [
    "Attempt",
    "Delivery",
    "Event",
    "EventType",
    "HourlyCount",
    "NoticeChoice",
    "Recovery",
    "RollUpMark",
    "StaleVersion",
    "Webhook",
    "WebhookState",
]
