"""A webhook's deliveries, page by page, also where there are a million of them.

Pages are found by key, newest first. What failed or was cancelled has an index. The other states and the types of
events are in none, which would cost the engine at each delivery; so a search for them looks at a bounded number of
deliveries and says how far it came, and the next page goes on from there.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from webhooks.models import Delivery, Webhook
from winkhooks.uuid7 import first_uuid7_at, time_of

PAGE = 25
LOOKED_AT_MOST = 15_000
"""Deliveries that a search for a state goes through: some 30 ms on PostgreSQL, where each has to be read."""
LOOKED_AT_MOST_WITH_EVENTS = 5_000
"""The same where the event of each has to be fetched."""
INDEXED = [Delivery.Status.DEAD, Delivery.Status.CANCELLED]


@dataclass(frozen=True)
class Criteria:
    status: str = ""
    event_type: str = ""
    since: datetime | None = None
    until: datetime | None = None
    event_id: UUID | None = None


@dataclass(frozen=True)
class DeliveryPage:
    """Deliveries, newest first, and the keys at which the next older and the next newer page begin, if there are any.

    Where the search stopped before the page was full, `searched_until` says at which time.
    """

    deliveries: list[Delivery]
    older: UUID | None = None
    newer: UUID | None = None
    searched_until: datetime | None = None


def find(
    webhook: Webhook, criteria: Criteria, *, before: UUID | None = None, after: UUID | None = None
) -> DeliveryPage:
    """Return the newest deliveries; `before` a key the next older ones, `after` a key the next newer ones."""
    if after:
        page, last_searched = _look(webhook, criteria, after, newest_first=False)
        if len(page) <= PAGE and not last_searched:
            # It reaches to the newest one: show the page that everybody sees first.
            return find(webhook, criteria)
        deliveries = page[PAGE - 1 :: -1]
        older = deliveries[-1].pk if deliveries else UUID(int=after.int + 1)
        if len(page) > PAGE:
            return DeliveryPage(deliveries, older, newer=deliveries[0].pk)
        assert last_searched is not None
        return DeliveryPage(deliveries, older, newer=last_searched, searched_until=time_of(last_searched))

    page, last_searched = _look(webhook, criteria, before, newest_first=True)
    deliveries = page[:PAGE]
    newer = (deliveries[0].pk if deliveries else UUID(int=before.int - 1)) if before else None
    if len(page) > PAGE:
        return DeliveryPage(deliveries, older=deliveries[-1].pk, newer=newer)
    if last_searched:
        return DeliveryPage(deliveries, older=last_searched, newer=newer, searched_until=time_of(last_searched))
    return DeliveryPage(deliveries, newer=newer)


def _look(
    webhook: Webhook, criteria: Criteria, key: UUID | None, *, newest_first: bool
) -> tuple[list[Delivery], UUID | None]:
    """Return what comes next, one more than a page where there is that, and where the search stopped, if it did."""
    looked_at = Delivery.objects.filter(webhook=webhook).order_by("-pk" if newest_first else "pk")
    if criteria.event_id:
        looked_at = looked_at.filter(event=criteria.event_id)
    if criteria.since:
        looked_at = looked_at.filter(pk__gte=first_uuid7_at(criteria.since))
    if criteria.until:
        looked_at = looked_at.filter(pk__lt=first_uuid7_at(criteria.until))
    if key:
        looked_at = looked_at.filter(pk__lt=key) if newest_first else looked_at.filter(pk__gt=key)

    fitting, last = looked_at, None
    if criteria.event_type or (criteria.status and criteria.status not in INDEXED):
        most = LOOKED_AT_MOST_WITH_EVENTS if criteria.event_type else LOOKED_AT_MOST
        last = looked_at.values_list("pk", flat=True)[most - 1 : most].first()
        if last:
            fitting = fitting.filter(pk__gte=last) if newest_first else fitting.filter(pk__lte=last)
    if criteria.status:
        fitting = fitting.filter(status=criteria.status)
    if criteria.event_type:
        fitting = fitting.filter(event__type=criteria.event_type)
    # The filters alone decide which, in a query that an index can answer: with other columns in it PostgreSQL takes the
    # index of all deliveries, and may read half a million of them to find none.
    chosen = fitting.values("pk")[: PAGE + 1]
    found = Delivery.objects.filter(pk__in=chosen).order_by(*fitting.query.order_by)
    return list(found.select_related("event").defer("event__body")), last
