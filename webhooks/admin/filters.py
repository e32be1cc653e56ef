from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from webhooks.models import Delivery, Event, Webhook
from winkhooks.admin import ParentFilter


class AccountFilter(ParentFilter):
    title = _("account")
    parameter_name = "account"
    parent = Account


class WebhookFilter(ParentFilter):
    title = _("webhook")
    parameter_name = "webhook"
    parent = Webhook


class EventFilter(ParentFilter):
    title = _("event")
    parameter_name = "event"
    parent = Event
    name_fields = ("type",)


class DeliveryFilter(ParentFilter):
    title = _("delivery")
    parameter_name = "delivery"
    parent = Delivery
    name_fields = ("event", "webhook")
