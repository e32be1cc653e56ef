from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from time_machine import TimeMachineFixture

from accounts.models import Account, User
from tests.webhooks.conftest import announce, make_webhook
from webhooks.arrival import Answer, Arrival, answer_for, arrivals_of
from webhooks.engine.dispatch import dispatch
from webhooks.models import Delivery, Event, EventType, Webhook, WebhookState

START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class TestAnswer:
    """The decision alone, without a database: a subscribed webhook and a dispatched event, and one thing different."""

    def answer(
        self,
        event: dict[str, Any] | None = None,
        webhook: dict[str, Any] | None = None,
        state: dict[str, Any] | None = None,
        *,
        recorded: bool = True,
        delivered: bool = True,
        **facts: Any,
    ) -> Answer:
        event_type = EventType(key="booking.created", delivered=delivered)
        made = {"type": event_type, "status": "DISPATCHED", "delivery_count": 1, "dispatched_at": START} | (event or {})
        then = {"enabled": True, "event_types": []} | (state or {})
        given = {
            "delivery": None,
            "state": WebhookState(**then) if recorded else None,
            "changed_about_then": False,
        } | facts
        return answer_for(Event(**made), Webhook(**{"created_at": START - SECOND} | (webhook or {})), **given)

    def test_a_delivery_tells_it_all(self) -> None:
        disabled = {"enabled": False}
        assert self.answer(delivery=Delivery(), state=disabled, delivered=False) == Answer.DELIVERY

    def test_a_test_event_was_for_another_webhook(self) -> None:
        assert self.answer({"is_test": True}) == Answer.TEST_OF_ANOTHER

    def test_a_new_event_waits(self) -> None:
        new = {"status": "NEW", "delivery_count": 0, "dispatched_at": None}
        assert self.answer(new) == Answer.NOT_DISPATCHED
        assert self.answer(new, {"removed_at": START - SECOND}) == Answer.REMOVED

    def test_a_type_that_nobody_gets(self) -> None:
        nobody = {"status": "NO_SUBSCRIBERS", "delivery_count": 0}
        assert self.answer(nobody, delivered=False) == Answer.TYPE_NOT_DELIVERED

    def test_a_type_that_nobody_gets_any_more(self) -> None:
        assert self.answer({"delivery_count": 1}, delivered=False, state={"enabled": False}) == Answer.DISABLED

    def test_a_webhook_that_was_made_later(self) -> None:
        assert self.answer(webhook={"created_at": START + SECOND}) == Answer.MADE_LATER
        assert self.answer(webhook={"created_at": START}) != Answer.MADE_LATER

    def test_a_webhook_that_was_removed_before(self) -> None:
        assert self.answer(webhook={"removed_at": START}) == Answer.REMOVED
        assert self.answer(webhook={"removed_at": START + SECOND}, state={"enabled": False}) == Answer.DISABLED

    def test_a_webhook_that_was_disabled(self) -> None:
        assert self.answer(state={"enabled": False, "event_types": ["booking.cancelled"]}) == Answer.DISABLED

    def test_a_webhook_that_had_other_events(self) -> None:
        assert self.answer(state={"event_types": ["booking.cancelled"]}) == Answer.NOT_CHOSEN

    @pytest.mark.parametrize("event_types", [[], ["booking.cancelled", "booking.created"]])
    def test_one_that_should_have_got_it_was_being_changed_or_is_not_explained(self, event_types: list[str]) -> None:
        state = {"event_types": event_types}
        assert self.answer(state=state, changed_about_then=True) == Answer.BEING_CHANGED
        assert self.answer(state=state) == Answer.NOT_RECORDED

    def test_what_was_before_the_record_is_not_guessed(self) -> None:
        assert self.answer({"dispatched_at": None}, state={"enabled": False}) == Answer.NOT_RECORDED
        assert self.answer(recorded=False) == Answer.NOT_RECORDED

    def test_a_webhook_whose_first_state_was_not_committed_was_being_made(self) -> None:
        assert self.answer(recorded=False, changed_about_then=True) == Answer.BEING_CHANGED


@pytest.fixture
def at_start(time_machine: TimeMachineFixture) -> TimeMachineFixture:
    time_machine.move_to(START, tick=False)
    return time_machine


def read(event: Event) -> list[Arrival]:
    return arrivals_of(Event.objects.get(pk=event.pk))


def answers(event: Event) -> dict[str, str]:
    return {arrival.webhook.name: arrival.answer for arrival in read(event)}


@pytest.mark.storage
@pytest.mark.django_db
class TestArrivals:
    def test_each_webhook_has_its_answer(self, account: Account, owner: User, at_start: TimeMachineFixture) -> None:
        make_webhook(account, "https://a.example/", name="everything")
        make_webhook(account, "https://b.example/", "booking.created", name="this one")
        make_webhook(account, "https://c.example/", "booking.cancelled", name="another one")
        make_webhook(account, "https://d.example/", name="off").disable(Webhook.DisabledReason.BY_USER, owner)
        make_webhook(account, "https://e.example/", name="long gone").remove(owner)
        removed = make_webhook(account, "https://f.example/", name="just gone")
        make_webhook(Account.objects.create(), "https://g.example/", name="somebody else's")
        at_start.shift(SECOND)
        [event] = announce(account)
        at_start.shift(SECOND)
        removed.remove(owner)
        at_start.shift(SECOND)
        dispatch()
        at_start.shift(SECOND)
        make_webhook(account, "https://h.example/", name="later")
        make_webhook(account, "https://h.example/", name="later and gone").remove(owner)
        assert answers(event) == {
            "another one": "NOT_CHOSEN",
            "everything": "DELIVERY",
            "later": "MADE_LATER",
            "off": "DISABLED",
            "this one": "DELIVERY",
            "just gone": "REMOVED",
        }

    def test_it_speaks_of_what_was_then(self, account: Account, owner: User, at_start: TimeMachineFixture) -> None:
        webhook = make_webhook(account, "https://a.example/", "booking.cancelled")
        at_start.shift(SECOND)
        webhook.disable(Webhook.DisabledReason.GONE)
        at_start.shift(3600)
        [event] = announce(account)
        dispatch()
        at_start.shift(3600)
        webhook.enable(owner)
        webhook.event_types.clear()
        [arrival] = read(event)
        assert arrival.answer == Answer.DISABLED
        assert arrival.state is not None
        assert (arrival.state.disabled_at, arrival.state.disabled_reason) == (START + SECOND, "GONE")
        assert arrival.is_different_now

    @pytest.mark.parametrize(
        "chosen_now, different", [(["booking.created"], True), ([], True), (["spa.created"], False)]
    )
    def test_it_says_whether_the_webhook_would_get_it_now(
        self, account: Account, owner: User, chosen_now: list[str], different: bool
    ) -> None:
        webhook = make_webhook(account, "https://a.example/", "booking.cancelled")
        [event] = announce(account)
        dispatch()
        webhook.event_types.set(EventType.objects.filter(key__in=chosen_now))
        assert read(event)[0].is_different_now == different
        webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        assert not read(event)[0].is_different_now

    def test_a_change_that_was_not_committed_in_time_is_called_one(
        self, account: Account, at_start: TimeMachineFixture
    ) -> None:
        webhook = make_webhook(account, "https://a.example/", "booking.cancelled")
        at_start.shift(3600)
        [event] = announce(account)
        dispatch()
        # What another transaction had written by then, and had not committed.
        state = webhook.states.create(enabled=True, removed=False, event_types=[], since=START + timedelta(minutes=58))
        assert answers(event) == {"Wink Stalker": "NOT_RECORDED"}
        state.since = START + timedelta(hours=1) - SECOND
        state.save()
        assert answers(event) == {"Wink Stalker": "BEING_CHANGED"}

    def test_a_removed_webhook_keeps_its_delivery(self, account: Account, owner: User) -> None:
        webhook = make_webhook(account, "https://a.example/")
        [event] = announce(account)
        dispatch()
        webhook.remove(owner)
        [arrival] = read(event)
        assert arrival.delivery == Delivery.objects.get()

    def test_its_queries_do_not_grow_with_the_webhooks(self, account: Account, owner: User) -> None:
        [event] = announce(account)
        counts = []
        for number in range(2):
            for each in range(5 * number + 1):
                webhook = make_webhook(account, "https://a.example/", "booking.created", name=f"W{number}{each}")
                if each % 2:
                    webhook.disable(Webhook.DisabledReason.BY_USER, owner)
            Event.objects.update(status="NEW")
            Delivery.objects.all().delete()
            dispatch()
            event = Event.objects.select_related("type").get(pk=event.pk)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert len(arrivals_of(event)) == [1, 7][number]
            counts.append(len(queries))
        assert counts == [3, 3]
