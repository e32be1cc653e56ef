"""From an event to a delivery for each webhook that asked for it."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from webhooks.models import Delivery, Event, Webhook

BATCH = 200


def dispatch() -> int:
    """Make the deliveries of the oldest new events; return how many events that were, BATCH at most.

    Workers that dispatch at the same time take different events.
    """
    if not Event.objects.filter(status=Event.Status.NEW).exists():
        return 0
    with transaction.atomic():
        events = list(
            Event.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .filter(status=Event.Status.NEW)
            .order_by("id")
            .values_list("id", "account_id", "type_id", "type__delivered", named=True)[:BATCH]
        )
        now = timezone.now()
        subscribers = _Subscribers({event.account_id for event in events if event.type__delivered})
        matches = {
            event.id: subscribers.of(event.account_id, event.type_id) if event.type__delivered else []
            for event in events
        }
        Delivery.objects.bulk_create(
            [
                Delivery(event_id=event_id, webhook_id=webhook_id, url=url, next_attempt_at=now, created_at=now)
                for event_id, webhooks in matches.items()
                for webhook_id, url in webhooks
            ],
            batch_size=1000,
        )
        events_by_count: defaultdict[int, list[UUID]] = defaultdict(list)
        for event_id, webhooks in matches.items():
            events_by_count[len(webhooks)].append(event_id)
        for count, event_ids in events_by_count.items():
            status = Event.Status.DISPATCHED if count else Event.Status.NO_SUBSCRIBERS
            Event.objects.filter(pk__in=event_ids).update(status=status, delivery_count=count)
    return len(events)


class _Subscribers:
    """The enabled webhooks of some accounts, by what they asked for; one that chose no event gets every one."""

    def __init__(self, account_ids: Iterable[UUID]) -> None:
        self._all: defaultdict[UUID, list[tuple[UUID, str]]] = defaultdict(list)
        self._by_type: defaultdict[tuple[UUID, str], list[tuple[UUID, str]]] = defaultdict(list)
        # A webhook comes once for each event type that it chose, or once with none.
        choices: Iterable[tuple[UUID, UUID, str, str | None]] = (
            Webhook.objects.present()
            .filter(account__in=account_ids, enabled=True)
            .order_by("id")
            .values_list("account_id", "id", "url", "event_types")
        )
        for account_id, webhook_id, url, type_id in choices:
            if type_id is None:
                self._all[account_id].append((webhook_id, url))
            else:
                self._by_type[account_id, type_id].append((webhook_id, url))

    def of(self, account_id: UUID, type_id: str) -> list[tuple[UUID, str]]:
        """Return the ids and URLs of the webhooks that get an event of this type."""
        return self._all[account_id] + self._by_type[account_id, type_id]
