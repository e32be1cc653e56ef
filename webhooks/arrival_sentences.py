"""What a page says of whether an event went to a webhook.

Written here and not in the template, since a page says it of up to a thousand webhooks.
"""

from datetime import datetime

from django.utils import dateformat, timezone
from django.utils.formats import get_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webhooks.arrival import Answer, Arrival
from webhooks.models import Delivery, Webhook, WebhookState


def sentences_of(arrival: Arrival) -> list[str]:
    """Say what became of the delivery, or why there is none, in the language of the page."""
    return _of_delivery(arrival.delivery) if arrival.delivery else _of_none(arrival)


def _of_delivery(delivery: Delivery) -> list[str]:
    attempts = ngettext("%(count)s attempt.", "%(count)s attempts.", delivery.attempt_count)
    sentences = [_fate_of(delivery), attempts % {"count": delivery.attempt_count}]
    if delivery.last_http_status:
        sentences.append(_("The last answer: HTTP %(status)s.") % {"status": delivery.last_http_status})
    return sentences


def _fate_of(delivery: Delivery) -> str:
    match delivery.status:
        case Delivery.Status.SUCCEEDED:
            return _("The receiver took it: %(moment)s %(zone)s.") % _when(delivery.finished_at)
        case Delivery.Status.PENDING:
            return _("It waits to be sent.")
        case Delivery.Status.RETRYING:
            sentence = _("The last attempt failed. The next one: %(moment)s %(zone)s.")
            return sentence % _when(delivery.next_attempt_at)
        case _other:
            return f"{delivery.get_end_reason_display()}."


def _of_none(arrival: Arrival) -> list[str]:
    match arrival.answer:
        case Answer.TEST_OF_ANOTHER:
            return [_("It was a test event for another webhook alone.")]
        case Answer.NOT_DISPATCHED:
            return [_("Which webhooks get the event is decided within seconds, by what they have asked for then.")]
        case Answer.TYPE_NOT_DELIVERED:
            return [_("Webhooks do not get this event yet, not even those that get all events.")]
        case Answer.MADE_LATER:
            return [_("The webhook was made later: %(moment)s %(zone)s.") % _when(arrival.webhook.created_at)]
        case Answer.REMOVED:
            sentence = _("The webhook had been removed before: %(moment)s %(zone)s.")
            return [sentence % _when(arrival.webhook.removed_at)]
        case Answer.DISABLED if arrival.state:
            sentence = _("The webhook was disabled, since %(moment)s %(zone)s.")
            return [sentence % _when(arrival.state.disabled_at), _why_disabled(arrival.state)]
        case Answer.NOT_CHOSEN:
            return [_("The webhook had not chosen this event. What it had chosen then:")]
        case Answer.BEING_CHANGED:
            return [_("The webhook was being made or changed at that very moment.")]
        case _other:
            return [_("What the webhook was then is not recorded.")]


def _why_disabled(state: WebhookState) -> str:
    if state.disabled_reason == Webhook.DisabledReason.BY_USER and state.disabled_by:
        return f"{_('Disabled by %(name)s') % {'name': state.disabled_by.get_full_name()}}."
    return f"{state.get_disabled_reason_display()}."


def _when(moment: datetime | None) -> dict[str, str]:
    if moment is None:
        return {"moment": "", "zone": ""}
    local = timezone.localtime(moment)
    return {
        "moment": dateformat.format(local, get_format("EXACT_TIME_FORMAT")),
        "zone": dateformat.format(local, "T"),
    }
