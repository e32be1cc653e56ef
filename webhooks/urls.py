from django.urls import URLPattern, URLResolver, include, path

from webhooks.views import delivery, recovery, webhook
from webhooks.views.event_type import event_type_detail, event_type_list
from webhooks.views.signature_check import signature_check
from webhooks.views.test_event import test_event
from webhooks.views.verify_guide import verify_guide

app_name = "webhooks"
delivery_urls = [
    path("", delivery.delivery_detail, name="delivery_detail"),
    path("retry/", delivery.delivery_retry, name="delivery_retry"),
    path("cancel/", delivery.delivery_cancel, name="delivery_cancel"),
    path("redeliver/", delivery.delivery_redeliver, name="delivery_redeliver"),
    path("curl/", delivery.delivery_curl, name="delivery_curl"),
]
webhook_urls: list[URLPattern | URLResolver] = [
    path("", webhook.webhook_list, name="webhook_list"),
    path("new/", webhook.webhook_create, name="webhook_create"),
    path("<uuid:webhook_id>/update/", webhook.webhook_update, name="webhook_update"),
    path("<uuid:webhook_id>/remove/", webhook.webhook_remove, name="webhook_remove"),
    path("<uuid:webhook_id>/test/", test_event, name="test_event"),
    path("<uuid:webhook_id>/deliveries/<uuid:delivery_id>/", include(delivery_urls)),
    path("<uuid:webhook_id>/recovery/", recovery.recovery_create, name="recovery_create"),
    path("<uuid:webhook_id>/recovery/<uuid:recovery_id>/", recovery.recovery_detail, name="recovery_detail"),
    path("<uuid:webhook_id>/recovery/<uuid:recovery_id>/cancel/", recovery.recovery_cancel, name="recovery_cancel"),
]
urlpatterns = [
    path("accounts/<uuid:account_id>/webhooks/", include(webhook_urls)),
    path("help/events/", event_type_list, name="event_type_list"),
    path("help/events/<str:key>/", event_type_detail, name="event_type_detail"),
    path("help/signature-check/", signature_check, name="signature_check"),
    path("help/verifying/", verify_guide, name="verify_guide"),
]
