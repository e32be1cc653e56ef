from django.urls import URLPattern, URLResolver, include, path

from webhooks.views import delivery, notice, recovery, webhook, webhook_detail, webhook_secret, webhook_switch
from webhooks.views.event import event_detail, event_list
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
    path("<uuid:webhook_id>/", webhook_detail.webhook_detail, name="webhook_detail"),
    path("<uuid:webhook_id>/live/", webhook_detail.webhook_live, name="webhook_live"),
    path("<uuid:webhook_id>/disable/", webhook_switch.webhook_disable, name="webhook_disable"),
    path("<uuid:webhook_id>/enable/", webhook_switch.webhook_enable, name="webhook_enable"),
    path("<uuid:webhook_id>/secret/rotate/", webhook_secret.secret_rotate, name="secret_rotate"),
    path("<uuid:webhook_id>/secret/overlap/end/", webhook_secret.overlap_end, name="overlap_end"),
    path("<uuid:webhook_id>/update/", webhook.webhook_update, name="webhook_update"),
    path("<uuid:webhook_id>/remove/", webhook.webhook_remove, name="webhook_remove"),
    path("<uuid:webhook_id>/test/", test_event, name="test_event"),
    path("<uuid:webhook_id>/notices/", notice.notice_choose, name="notice_choose"),
    path("<uuid:webhook_id>/deliveries/<uuid:delivery_id>/", include(delivery_urls)),
    path("<uuid:webhook_id>/recovery/", recovery.recovery_create, name="recovery_create"),
    path("<uuid:webhook_id>/recovery/<uuid:recovery_id>/", recovery.recovery_detail, name="recovery_detail"),
    path("<uuid:webhook_id>/recovery/<uuid:recovery_id>/cancel/", recovery.recovery_cancel, name="recovery_cancel"),
]
urlpatterns = [
    path("accounts/<uuid:account_id>/webhooks/", include(webhook_urls)),
    path("accounts/<uuid:account_id>/notices/", notice.notice_list, name="notice_list"),
    path("notices/stop/<str:stop_token>/", notice.notice_stop, name="notice_stop"),
    path("accounts/<uuid:account_id>/events/", event_list, name="event_list"),
    path("accounts/<uuid:account_id>/events/<uuid:event_id>/", event_detail, name="event_detail"),
    path("help/events/", event_type_list, name="event_type_list"),
    path("help/events/<str:key>/", event_type_detail, name="event_type_detail"),
    path("help/signature-check/", signature_check, name="signature_check"),
    path("help/verifying/", verify_guide, name="verify_guide"),
]
