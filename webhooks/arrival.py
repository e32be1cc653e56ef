"""Whether an event went to a webhook, and if not, why: from what was recorded as it was dispatched."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from webhooks.models import Delivery, Event, Webhook, WebhookState
from webhooks.models.webhook import WebhookQuerySet

# A change is written some time before it is committed, longest where it cancels many deliveries; clocks differ besides.
CHANGE_LASTS = timedelta(minutes=1)
# What an answer is made of, and a page says of it: there may be a thousand.
WEBHOOK_FIELDS = ("account", "name", "enabled", "created_at", "removed_at")
DELIVERY_FIELDS = (
    *("event", "webhook", "status", "end_reason"),
    *("attempt_count", "last_http_status", "finished_at", "next_attempt_at"),
)


class Answer(StrEnum):
    DELIVERY = "DELIVERY"
    TEST_OF_ANOTHER = "TEST_OF_ANOTHER"
    NOT_DISPATCHED = "NOT_DISPATCHED"
    TYPE_NOT_DELIVERED = "TYPE_NOT_DELIVERED"
    MADE_LATER = "MADE_LATER"
    REMOVED = "REMOVED"
    DISABLED = "DISABLED"
    NOT_CHOSEN = "NOT_CHOSEN"
    BEING_CHANGED = "BEING_CHANGED"
    NOT_RECORDED = "NOT_RECORDED"


# Reasons that lie in what the webhook was.
PAST = {Answer.MADE_LATER, Answer.DISABLED, Answer.NOT_CHOSEN, Answer.BEING_CHANGED, Answer.NOT_RECORDED}


@dataclass(frozen=True, slots=True)
class Arrival:
    """The answer for a webhook, with what it rests on."""

    webhook: Webhook
    answer: Answer
    delivery: Delivery | None = None
    state: WebhookState | None = None
    gets_such_now: bool = False

    @property
    def is_different_now(self) -> bool:
        """Whether it would get such an event now, though it did not get this one for what it was then."""
        return self.gets_such_now and self.answer in PAST


def answer_for(
    event: Event, webhook: Webhook, *, delivery: Delivery | None, state: WebhookState | None, changed_about_then: bool
) -> Answer:
    """Say whether `webhook` got `event`, or why not.

    `state` is what the webhook was as the event was dispatched, None where that is not recorded; `changed_about_then`
    says whether it changed so near to that moment that the change may have counted or not.
    """
    if delivery is not None:
        return Answer.DELIVERY
    if event.is_test:
        return Answer.TEST_OF_ANOTHER
    if event.status == Event.Status.NEW:
        return Answer.NOT_DISPATCHED if webhook.removed_at is None else Answer.REMOVED
    if not event.type.delivered and not event.delivery_count:
        return Answer.TYPE_NOT_DELIVERED
    if event.dispatched_at is None:
        return Answer.NOT_RECORDED
    if webhook.created_at > event.dispatched_at:
        return Answer.MADE_LATER
    if webhook.removed_at is not None and webhook.removed_at <= event.dispatched_at:
        return Answer.REMOVED
    if state is not None and not state.enabled:
        return Answer.DISABLED
    if state is not None and not state.chose(event.type_id):
        return Answer.NOT_CHOSEN
    # It should have got the event.
    return Answer.BEING_CHANGED if changed_about_then else Answer.NOT_RECORDED


def arrivals_of(event: Event) -> list[Arrival]:
    """Return the answer for each webhook of the account that is there or was there then, by name, present ones first.

    It makes three queries, however many webhooks there are.
    """
    made = event.deliveries.only(*DELIVERY_FIELDS)
    deliveries = {delivery.webhook_id: delivery for delivery in made}
    webhooks = list(_webhooks_of(event, event.dispatched_at or timezone.now()))
    state_ids = [webhook.state_then for webhook in webhooks]  # type: ignore[attr-defined]  # annotated
    states = {
        state.webhook_id: state for state in WebhookState.objects.filter(pk__in=state_ids).select_related("disabled_by")
    }
    return [
        Arrival(
            webhook=webhook,
            answer=answer_for(
                event,
                webhook,
                delivery=deliveries.get(webhook.pk),
                state=states.get(webhook.pk),
                changed_about_then=webhook.changed_about_then,  # type: ignore[attr-defined]  # annotated
            ),
            delivery=deliveries.get(webhook.pk),
            state=states.get(webhook.pk),
            gets_such_now=(
                event.type.delivered
                and webhook.enabled
                and webhook.removed_at is None
                and (webhook.chose_it or not webhook.chose_any)  # type: ignore[attr-defined]  # annotated
            ),
        )
        for webhook in webhooks
    ]


def _webhooks_of(event: Event, moment: datetime) -> WebhookQuerySet:
    """Return the webhooks that are there or were there as the event was on its way, with what they were at `moment`."""
    states = WebhookState.objects.filter(webhook=OuterRef("pk"))
    choices = Webhook.event_types.through.objects.filter(webhook=OuterRef("pk"))
    delivered = Exists(event.deliveries.filter(webhook=OuterRef("pk")))
    return (
        Webhook.objects.only(*WEBHOOK_FIELDS)
        .filter(
            Q(removed_at=None) | Q(created_at__lte=moment, removed_at__gte=event.created_at) | delivered,
            account=event.account_id,
        )
        .annotate(
            state_then=Subquery(states.filter(since__lte=moment).order_by("-since", "-id").values("pk")[:1]),
            changed_about_then=Exists(
                states.filter(since__gte=moment - CHANGE_LASTS, since__lte=moment + CHANGE_LASTS)
            ),
            chose_any=Exists(choices),
            chose_it=Exists(choices.filter(eventtype=event.type_id)),
        )
        .order_by(F("removed_at").asc(nulls_first=True), "name", "pk")
    )
