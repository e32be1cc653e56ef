import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from pytest_django import Settings
from time_machine import TimeMachineFixture

from accounts.models import Account
from tests.webhooks.conftest import announce, make_webhook
from webhooks.engine import claim as claim_module
from webhooks.engine.claim import FIRST_CURSOR, Claim, claim, release, webhooks_with_work
from webhooks.engine.dispatch import dispatch
from webhooks.models import Delivery, Event, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def claim_all(taken: dict[str, int] | None = None, room: int = 1000, limit: int = 1000) -> list[Claim]:
    return claim(taken or {}, room, limit)


def make_due(account: Account, count: int = 1) -> None:
    announce(account, count=count)
    # Those of one dispatch are due at one moment, and none is the oldest.
    while dispatch(limit=1).events:
        pass


def test_it_takes_what_is_due_with_all_that_sending_needs(account: Account, webhook: Webhook) -> None:
    [event] = announce(account)
    dispatch()
    [claimed] = claim_all()
    delivery = Delivery.objects.get()
    assert claimed.delivery_id == str(delivery.id)
    assert (claimed.webhook_id, claimed.event_id) == (str(webhook.id), str(event.id))
    assert claimed.event_type == "booking.created"
    assert (bytes(claimed.body), claimed.attempt_number, claimed.tries) == (event.body, 1, 1)
    assert claimed.leased_until == delivery.leased_until


def test_what_is_claimed_is_not_claimed_again(account: Account, webhook: Webhook) -> None:
    make_due(account)
    assert len(claim_all()) == 1
    assert claim_all() == []


def test_a_lease_runs_out(
    account: Account, webhook: Webhook, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    start = datetime.now(UTC)
    time_machine.move_to(start, tick=False)
    make_due(account)
    [first] = claim_all()
    assert first.leased_until == start + timedelta(seconds=settings.WEBHOOK_LEASE_SECONDS)
    time_machine.move_to(first.leased_until - timedelta(seconds=1), tick=False)
    assert claim_all() == []
    time_machine.move_to(first.leased_until + timedelta(seconds=1), tick=False)
    [second] = claim_all()
    assert second.delivery_id == first.delivery_id


def test_what_is_given_back_is_claimed_again_at_once(account: Account, webhook: Webhook) -> None:
    make_due(account, 2)
    claimed = claim_all()
    release(claimed)
    assert {each.delivery_id for each in claim_all()} == {each.delivery_id for each in claimed}


def test_giving_back_does_not_take_a_lease_from_another_worker(account: Account, webhook: Webhook) -> None:
    make_due(account)
    [claimed] = claim_all()
    later = claimed.leased_until + timedelta(seconds=30)
    Delivery.objects.update(leased_until=later)
    release([claimed])
    assert Delivery.objects.get().leased_until == later


def test_what_is_not_due_yet_stays(account: Account, webhook: Webhook) -> None:
    make_due(account)
    Delivery.objects.update(status="RETRYING", next_attempt_at=datetime.now(UTC) + timedelta(minutes=1))
    assert claim_all() == []


@pytest.mark.parametrize("status", ["SUCCEEDED", "DEAD", "CANCELLED"])
def test_what_is_finished_stays(account: Account, webhook: Webhook, status: str) -> None:
    make_due(account)
    Delivery.objects.update(status=status, next_attempt_at=None)
    assert claim_all() == []


def test_no_webhook_gets_more_than_its_room(account: Account) -> None:
    ids = [str(make_webhook(account, "https://a.example/", name=str(number)).id) for number in range(3)]
    make_due(account, 10)
    claimed = Counter(each.webhook_id for each in claim_all({ids[0]: 3, ids[1]: 5}, room=5))
    assert claimed == {ids[0]: 2, ids[2]: 5}


def test_it_looks_past_a_webhook_with_a_deep_backlog(account: Account) -> None:
    flooded = make_webhook(account, "https://a.example/", "booking.created")
    make_due(account, 50)
    other = make_webhook(account, "https://b.example/", "property.created")
    announce(account, "property.created")
    dispatch()
    claimed = claim_all({str(flooded.id): 10}, room=10, limit=10)
    assert [each.webhook_id for each in claimed] == [str(other.id)]


def test_the_oldest_of_a_webhook_goes_first(account: Account, webhook: Webhook) -> None:
    make_due(account, 5)
    events = Event.objects.order_by("id")
    assert [each.event_id for each in claim_all(room=3)] == [str(event.id) for event in events[:3]]


def test_first_attempts_go_before_retries_and_replays_last(account: Account, webhook: Webhook) -> None:
    make_due(account, 6)
    ids = [str(pk) for pk in Delivery.objects.order_by("id").values_list("id", flat=True)]
    Delivery.objects.filter(pk__in=ids[:2]).update(priority=Delivery.Priority.REPLAY)
    Delivery.objects.filter(pk__in=ids[2:4]).update(priority=Delivery.Priority.RETRY, status="RETRYING")
    assert [each.delivery_id for each in claim_all()] == ids[4:] + ids[2:4] + ids[:2]


def test_replays_leave_most_of_the_room_to_what_happens_now(account: Account, webhook: Webhook) -> None:
    announce(account, count=30)
    dispatch()
    Delivery.objects.update(priority=Delivery.Priority.REPLAY)
    assert len(claim({}, 100, 100)) == 20
    assert claim({str(webhook.pk): 20}, 100, 100) == []
    announce(account, count=5)
    dispatch()
    assert [claimed.is_replay for claimed in claim({str(webhook.pk): 18}, 100, 100)] == [False] * 5 + [True] * 2


def test_replays_get_through_the_smallest_room(account: Account, webhook: Webhook) -> None:
    announce(account, count=2)
    dispatch()
    Delivery.objects.update(priority=Delivery.Priority.REPLAY)
    assert len(claim({}, 1, 100)) == 1


def test_where_there_is_little_room_first_attempts_take_it(account: Account, webhook: Webhook) -> None:
    make_due(account, 4)
    ids = [str(pk) for pk in Delivery.objects.order_by("id").values_list("id", flat=True)]
    Delivery.objects.filter(pk__in=ids[:2]).update(priority=Delivery.Priority.RETRY, status="RETRYING")
    assert [each.delivery_id for each in claim_all(room=3)] == [*ids[2:], ids[0]]


def test_the_limit_holds_over_all_webhooks(account: Account) -> None:
    for number in range(3):
        make_webhook(account, "https://a.example/", name=str(number))
    make_due(account, 5)
    assert len(claim_all(limit=7)) == 7
    assert len(claim_all()) == 8


def test_the_webhooks_behind_the_cursor_come_first(account: Account) -> None:
    webhooks = sorted(str(make_webhook(account, "https://a.example/", name=str(number)).id) for number in range(3))
    make_due(account)
    assert {each.webhook_id for each in claim({}, 5, 2, webhooks[0])} == set(webhooks[1:])
    assert [each.webhook_id for each in claim({}, 5, 2, webhooks[1])] == webhooks[:1]


def test_where_very_much_is_due_no_webhook_is_overlooked(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "OLDEST", 3)
    flooded = make_webhook(account, "https://a.example/", "booking.created", name="flooded")
    make_due(account, 5)
    others = [str(make_webhook(account, "https://b.example/", "property.created", name=name).id) for name in "0123"]
    announce(account, "property.created")
    dispatch()
    now = datetime.now(UTC)
    assert webhooks_with_work(now) == sorted([str(flooded.id), *others])
    monkeypatch.setattr(claim_module, "WEBHOOKS_AT_ONCE", 2)
    seen: set[str] = set()
    cursor = FIRST_CURSOR
    for _ in range(5):
        found = [each for each in webhooks_with_work(now, cursor) if each > cursor][:2]
        seen.update(found)
        cursor = found[-1] if found else FIRST_CURSOR
    assert seen >= set(others)


def test_webhooks_whose_deliveries_wait_for_later_cost_nothing(account: Account) -> None:
    for number in range(3):
        make_webhook(account, "https://a.example/", name=str(number))
    make_due(account)
    Delivery.objects.update(status="RETRYING", next_attempt_at=datetime.now(UTC) + timedelta(hours=2))
    assert webhooks_with_work(datetime.now(UTC)) == []


def test_a_redelivery_counts_its_tries_anew(account: Account, webhook: Webhook) -> None:
    make_due(account)
    Delivery.objects.update(status="DEAD", next_attempt_at=None, attempt_count=10)
    assert Delivery.objects.all().redeliver() == 1
    [claimed] = claim_all()
    assert (claimed.attempt_number, claimed.tries) == (11, 1)


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_take_different_deliveries(account: Account) -> None:
    for number in range(4):
        make_webhook(account, "https://a.example/", name=str(number))
    make_due(account, 50)
    claimed: list[str] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        try:
            while batch := claim_all(room=20, limit=15):
                claimed.extend(each.delivery_id for each in batch)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # SKIP LOCKED may let a worker see nothing while another one holds the rest, so that some may be left for the next.
    claimed.extend(each.delivery_id for each in claim_all())
    assert len(claimed) == len(set(claimed)) == 200
