import json
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from accounts.models import Account, User
from webhooks import catalogue, events, wake
from webhooks.models import Event, EventType, Webhook
from webhooks.signals import event_occurred

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
MOMENT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def emit(account: Account, /, **changes: Any) -> Event:
    given: dict[str, Any] = {"type": "booking.created", "account": account, "object": {"bookingCode": "WNK4ZQ7P"}}
    return events.emit(**given | changes)


def test_the_envelope_is_what_the_contract_says(account: Account) -> None:
    event = emit(account, occurred_at=MOMENT, recipient_role="SUPPLIER")
    stored = Event.objects.get()
    assert bytes(stored.body) == event.body
    assert json.loads(bytes(event.body)) == {
        "id": str(event.id),
        "type": "booking.created",
        "occurredAt": "2026-11-24T09:30:00Z",
        "ownerIdentifier": str(account.id),
        "recipientRole": "SUPPLIER",
        "schemaVersion": 2,
        "object": {"bookingCode": "WNK4ZQ7P"},
    }
    assert (stored.status, stored.type_id, stored.recipient_role) == ("NEW", "booking.created", "SUPPLIER")


def test_times_are_written_in_utc(account: Account) -> None:
    event = emit(account, occurred_at=MOMENT.astimezone(ZoneInfo("Europe/Helsinki")))
    assert json.loads(bytes(event.body))["occurredAt"] == "2026-11-24T09:30:00Z"


def test_it_occurs_now_unless_said_otherwise(account: Account) -> None:
    assert abs(emit(account).occurred_at - datetime.now(UTC)) < timedelta(seconds=5)


def test_text_of_any_script_stays_as_it_is(account: Account) -> None:
    event = emit(account, object={"name": "Hôtel Äkäslompolo 東京 \u0000"})
    assert json.loads(bytes(Event.objects.get().body))["object"] == {"name": "Hôtel Äkäslompolo 東京 \u0000"}
    assert "Äkäslompolo".encode() in event.body


def test_an_alias_is_stored_as_the_key(account: Account) -> None:
    event = emit(account, type="booking.create")
    assert event.type_id == "booking.created"
    assert json.loads(bytes(event.body))["type"] == "booking.created"


def test_an_unknown_type_is_refused_with_the_nearest_keys(account: Account) -> None:
    with pytest.raises(events.UnknownEventType, match=r"'booking\.creatd'.*booking\.created"):
        emit(account, type="booking.creatd")


def test_a_type_that_is_new_in_the_catalogue_is_known_at_once(account: Account) -> None:
    emit(account)
    EventType.objects.create(key="room.upgraded", group="Bookings", group_fi="", title="", title_fi="", delivered=True)
    assert emit(account, type="room.upgraded").type_id == "room.upgraded"


CIRCULAR: dict[str, Any] = {}
CIRCULAR["self"] = CIRCULAR


@pytest.mark.parametrize(
    "object",
    [
        {"at": MOMENT},
        {"set": {1}},
        {"nan": float("nan")},
        {"big": float("inf")},
        {("a", 1): 2},
        {"half": "\ud800"},
        CIRCULAR,
        ["a list"],
        "a text",
        None,
    ],
)
def test_what_json_cannot_hold_is_refused_and_the_transaction_goes_on(account: Account, object: Any) -> None:
    with transaction.atomic():
        with pytest.raises(events.InvalidPayload):
            emit(account, object=object)
        emit(account)
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"occurred_at": datetime(2026, 11, 24, 9, 30)},  # noqa: DTZ001  without a zone on purpose
        {"recipient_role": "OWNER"},
        {"idempotency_key": ""},
        {"idempotency_key": "x" * 256},
        {"idempotency_key": "a\0b"},
        {"idempotency_key": "a\ud800b"},
        {"idempotency_key": 5},
        {"occurred_at": "2026-11-24"},
        {"occurred_at": MOMENT.date()},
        {"occurred_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))},
        {"account": None},
        {"account": Account(name="Never saved")},
        {"account": "019ab2a0-0000-7000-8000-00000000c001"},
    ],
)
def test_other_parts_outside_the_contract_are_refused(account: Account, change: dict[str, Any]) -> None:
    with transaction.atomic():
        with pytest.raises(events.InvalidPayload):
            emit(account, **change)
        assert not Event.objects.exists()


@pytest.mark.parametrize("type", [None, 5, ["booking.created"]])
def test_a_type_that_is_no_text_is_unknown(account: Account, type: Any) -> None:
    with pytest.raises(events.UnknownEventType):
        emit(account, type=type)


def test_an_envelope_of_256_kb_passes_and_one_byte_more_does_not(account: Account) -> None:
    room = events.MAX_ENVELOPE_BYTES - len(emit(account, object={"x": ""}, occurred_at=MOMENT).body)
    assert len(emit(account, object={"x": "y" * room}, occurred_at=MOMENT).body) == 256 * 1024
    with pytest.raises(events.PayloadTooLarge, match="262145 bytes"):
        emit(account, object={"x": "y" * (room + 1)}, occurred_at=MOMENT)


class TestIdempotencyKey:
    def test_the_same_key_again_gives_the_first_event(self, account: Account) -> None:
        first = emit(account, idempotency_key="booking-1")
        again = emit(account, idempotency_key="booking-1", object={"other": True})
        assert again == first
        assert bytes(again.body) == first.body
        assert Event.objects.count() == 1

    def test_another_account_may_use_the_same_key(self, account: Account) -> None:
        emit(account, idempotency_key="booking-1")
        emit(Account.objects.create(name="Another Account"), idempotency_key="booking-1")
        assert Event.objects.count() == 2

    def test_events_without_a_key_are_all_different(self, account: Account) -> None:
        emit(account)
        emit(account)
        assert Event.objects.count() == 2


def test_it_costs_one_query_however_many_webhooks_there_are(
    account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    emit(account)
    Webhook.objects.bulk_create([Webhook(account=account, name=str(n), url="https://a.example") for n in range(20)])
    with django_assert_num_queries(1):
        emit(account)


def test_many_events_of_a_transaction_ring_once(
    account: Account, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        for _ in range(3):
            emit(account)
    assert callbacks == [wake.ring]


def test_a_bell_survives_the_savepoint_of_another_one_that_is_rolled_back(
    account: Account, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        with transaction.atomic():
            emit(account)
            transaction.set_rollback(True)
        emit(account)
    assert callbacks == [wake.ring]
    assert Event.objects.count() == 1


class TestSignal:
    def test_it_announces(self, account: Account) -> None:
        response: Any
        [(_, response)] = event_occurred.send(None, type="booking.create", account=account, object={"a": 1})
        event = Event.objects.get()
        assert response == event
        assert event.recipient_role == "SELF"

    def test_it_hands_everything_on(self, account: Account) -> None:
        event_occurred.send(
            User,
            type="booking.created",
            account=account,
            object={},
            occurred_at=MOMENT,
            recipient_role="AGENT",
            idempotency_key="k",
        )
        event = Event.objects.get()
        assert (event.occurred_at, event.recipient_role, event.idempotency_key) == (MOMENT, "AGENT", "k")

    def test_a_misspelt_argument_is_refused(self, account: Account) -> None:
        with pytest.raises(TypeError, match="idempotencykey"):
            event_occurred.send(None, type="booking.created", account=account, object={}, idempotencykey="k")
        assert not Event.objects.exists()

    def test_its_errors_reach_the_sender(self, account: Account) -> None:
        with pytest.raises(events.UnknownEventType):
            event_occurred.send(None, type="nothing", account=account, object={})


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_a_rolled_back_transaction_announces_nothing(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rung: list[int] = []
        monkeypatch.setattr(wake, "ring", lambda: rung.append(1))
        with transaction.atomic():
            emit(account)
            transaction.set_rollback(True)
        assert not Event.objects.exists()
        assert not rung

    def test_a_committed_transaction_announces_once(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        rung: list[int] = []
        monkeypatch.setattr(wake, "ring", lambda: rung.append(1))
        with transaction.atomic():
            emit(account)
            assert not rung
        assert Event.objects.count() == 1
        assert rung == [1]

    def test_two_that_announce_with_the_same_key_at_once_get_one_event(self, account: Account) -> None:
        start = threading.Barrier(4)
        announced: list[Event] = []

        def announce_once() -> None:
            start.wait()
            try:
                with transaction.atomic():
                    announced.append(emit(account, idempotency_key="booking-1"))
            finally:
                connection.close()

        threads = [threading.Thread(target=announce_once) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(announced) == 4
        assert {event.pk for event in announced} == {Event.objects.get().pk}

    def test_the_catalogue_is_filled_again_without_loss(self, account: Account) -> None:
        emit(account)
        EventType.objects.filter(key="booking.created").update(title="Changed")
        catalogue.load(EventType)
        assert EventType.objects.count() == 110
        assert EventType.objects.get(key="booking.created").title == "Booking created"
