from django.urls import include, path

from webhooks.views import webhook, webhook_detail, webhook_secret, webhook_switch
from webhooks.views.event_type import event_type_detail, event_type_list
from webhooks.views.signature_check import signature_check
from webhooks.views.verify_guide import verify_guide

app_name = "webhooks"
webhook_urls = [
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
]
urlpatterns = [
    path("accounts/<uuid:account_id>/webhooks/", include(webhook_urls)),
    path("help/events/", event_type_list, name="event_type_list"),
    path("help/events/<str:key>/", event_type_detail, name="event_type_detail"),
    path("help/signature-check/", signature_check, name="signature_check"),
    path("help/verifying/", verify_guide, name="verify_guide"),
]
