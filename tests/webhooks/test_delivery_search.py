from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import make_webhook
from webhooks import delivery_search
from webhooks.delivery_search import PAGE, Criteria, DeliveryPage, find
from webhooks.models import Delivery, Event, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
ALL = Criteria()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NINE, tick=False) as clock:
        yield clock


@pytest.fixture
def deliveries(account: Account, webhook: Webhook, clock: time_machine.Traveller) -> list[Delivery]:
    """One a minute, newest first; every tenth is dead."""
    other = make_webhook(account, "https://b.example/", name="Another")
    made = []
    for number in range(60):
        made.append(make_delivery(webhook, "DEAD" if number % 10 == 0 else "SUCCEEDED"))
        make_delivery(other)
        clock.shift(timedelta(minutes=1))
    return made[::-1]


def all_pages(webhook: Webhook, criteria: Criteria) -> list[DeliveryPage]:
    pages = [find(webhook, criteria)]
    while key := pages[-1].older:
        pages.append(find(webhook, criteria, before=key))
    return pages


def test_pages_lead_to_the_oldest_and_back(webhook: Webhook, deliveries: list[Delivery]) -> None:
    pages = all_pages(webhook, ALL)
    assert [len(page.deliveries) for page in pages] == [25, 25, 10]
    assert [delivery for page in pages for delivery in page.deliveries] == deliveries
    assert pages[0].newer is None
    back = find(webhook, ALL, after=pages[2].newer)
    assert back.deliveries == pages[1].deliveries
    assert back.older == pages[1].older
    assert find(webhook, ALL, after=back.newer) == pages[0]


def test_new_ones_move_no_page(webhook: Webhook, deliveries: list[Delivery], clock: time_machine.Traveller) -> None:
    second = find(webhook, ALL, before=find(webhook, ALL).older)
    make_delivery(webhook)
    assert find(webhook, ALL, before=deliveries[PAGE - 1].pk) == second


def test_it_finds_a_state(webhook: Webhook, deliveries: list[Delivery]) -> None:
    assert find(webhook, Criteria(status="DEAD")).deliveries == deliveries[9::10]


def test_it_finds_a_type_of_event(webhook: Webhook, deliveries: list[Delivery]) -> None:
    Event.objects.filter(pk=deliveries[33].event_id).update(type="booking.cancelled")
    assert find(webhook, Criteria(event_type="booking.cancelled")).deliveries == [deliveries[33]]


def test_it_finds_a_time(webhook: Webhook, deliveries: list[Delivery]) -> None:
    criteria = Criteria(since=NINE + timedelta(minutes=5), until=NINE + timedelta(minutes=8))
    assert find(webhook, criteria).deliveries == deliveries[-8:-5]


def test_it_finds_an_event(webhook: Webhook, deliveries: list[Delivery]) -> None:
    assert find(webhook, Criteria(event_id=deliveries[7].event_id)).deliveries == [deliveries[7]]


def test_a_search_stops_after_so_many_and_goes_on_from_there(
    webhook: Webhook, deliveries: list[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_search, "LOOKED_AT_MOST_WITH_EVENTS", 20)
    dead = Criteria(status="DEAD", event_type="booking.created")
    pages = all_pages(webhook, dead)
    assert [delivery for page in pages for delivery in page.deliveries] == deliveries[9::10]
    assert [page.searched_until for page in pages] == [
        NINE + timedelta(minutes=40),
        NINE + timedelta(minutes=20),
        NINE,
        None,
    ]
    assert [len(page.deliveries) for page in pages] == [2, 2, 2, 0]
    back = find(webhook, dead, after=pages[2].newer)
    assert back.deliveries == deliveries[29:40:10]
    assert back.searched_until == NINE + timedelta(minutes=30)


def test_a_search_for_what_arrived_stops_too_and_one_for_what_failed_does_not(
    webhook: Webhook, deliveries: list[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_search, "LOOKED_AT_MOST", 20)
    assert find(webhook, Criteria(status="SUCCEEDED")).searched_until == NINE + timedelta(minutes=40)
    assert find(webhook, Criteria(status="DEAD")) == DeliveryPage(deliveries[9::10])


def test_an_empty_page_leads_back(webhook: Webhook, deliveries: list[Delivery]) -> None:
    empty = find(webhook, ALL, before=deliveries[-1].pk)
    assert (empty.deliveries, empty.older) == ([], None)
    assert find(webhook, ALL, after=empty.newer).deliveries[-1] == deliveries[-1]


def test_it_makes_one_query_for_a_page_and_another_for_a_search(
    webhook: Webhook, deliveries: list[Delivery], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        [delivery.event.type_id for delivery in find(webhook, ALL).deliveries]
    with django_assert_num_queries(2):
        find(webhook, Criteria(status="DEAD", event_type="booking.created"))
