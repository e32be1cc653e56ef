from datetime import datetime

from django.contrib import messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webhooks import recovery
from webhooks.models import Recovery, Webhook
from webhooks.recovery_form import filled_in


def tell_of_missed(request: HttpRequest, webhook: Webhook, disabled_at: datetime | None) -> None:
    """Say how many events a webhook missed that was disabled until now, and lead to sending them."""
    if disabled_at is None or not webhook.enabled:
        return
    now = timezone.now()
    missed = recovery.count_soon(webhook, Recovery.Kind.MISSED, disabled_at, now)
    if not missed.number:
        return
    if missed.until:
        sentence = ngettext(
            "At least %(count)s event was missed while it was disabled.",
            "At least %(count)s events were missed while it was disabled.",
            missed.number,
        )
    else:
        sentence = ngettext(
            "%(count)s event was missed while it was disabled.",
            "%(count)s events were missed while it was disabled.",
            missed.number,
        )
    messages.warning(
        request,
        format_html(
            '{} <a href="{}?{}">{}</a>',
            sentence % {"count": intcomma(missed.number)},
            reverse("webhooks:recovery_create", args=[webhook.account_id, webhook.pk]),
            filled_in(Recovery.Kind.MISSED, disabled_at, now),
            _("Send what was missed"),
        ),
    )
