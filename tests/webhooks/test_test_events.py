"""Test events, sent to real receivers."""

import json
import threading
import time
import uuid
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account, User
from tests import receivers
from tests.receivers import Receiver, closed_port, status
from tests.webhooks.conftest import announce, make_webhook
from webhooks import events, health, rollups, signing, test_events
from webhooks.engine import transport
from webhooks.engine.claim import claim
from webhooks.engine.dispatch import dispatch
from webhooks.engine.drain import drain
from webhooks.engine.transport import Answer, Request
from webhooks.events import InvalidPayload, PayloadTooLarge, ledger
from webhooks.models import Attempt, Delivery, Event, EventType, HourlyCount, Recovery, Webhook
from webhooks.models.event_type import TEST_TYPE
from webhooks.recovery import count

pytestmark = [pytest.mark.storage, pytest.mark.django_db, pytest.mark.usefixtures("loopback_allowed", "demanding")]


def send(
    webhook: Webhook,
    by: User,
    type: str = "booking.created",
    object: dict[str, Any] | None = None,
    key: UUID | None = None,
) -> Delivery:
    event_type = EventType.objects.get(pk=type)
    return test_events.send(webhook, event_type, object or {"a": "ä"}, by, key or uuid.uuid4())


def send_to(account: Account, by: User, url: str) -> tuple[Delivery, Attempt]:
    delivery = send(make_webhook(account, url), by)
    return delivery, delivery.attempts.get()


def facts(webhook: Webhook) -> dict[str, Any]:
    """Return everything that is written of a webhook."""
    return cast(dict[str, Any], Webhook.objects.filter(pk=webhook.pk).values().get())


def die(request: Request) -> Answer:
    raise SystemExit


@pytest.fixture
def unsent(listening_webhook: Webhook, owner: User, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    """What is left when the process dies before it has sent anything, once the lease has run out."""
    with monkeypatch.context() as patch:
        patch.setattr(test_events, "call", die)
        with pytest.raises(SystemExit):
            send(listening_webhook, owner)
    delivery = Delivery.objects.get()
    assert delivery.leased_until is not None
    assert delivery.leased_until > timezone.now()
    assert not claim({}, 10, 10)
    Delivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    return delivery


class TestWhatIsSent:
    def test_it_is_a_signed_event_like_any_other(
        self, account: Account, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        delivery = send(listening_webhook, owner)
        [request] = receiver.requests
        headers = {name.lower(): value for name, value in request.headers}
        signing.verify_wink(listening_webhook.secret, headers, request.body)
        signing.verify_standard(listening_webhook.secret, headers, request.body)
        assert headers["wink-event-id"] == str(delivery.event_id)
        assert headers["wink-event-type"] == "booking.created"
        assert headers["wink-delivery-id"] == str(delivery.pk)
        assert headers["wink-delivery-attempt"] == "1"
        assert request.body == bytes(Event.objects.get().body)
        envelope = json.loads(request.body)
        assert envelope["ownerIdentifier"] == str(account.pk)
        assert (envelope["type"], envelope["recipientRole"], envelope["schemaVersion"]) == (
            "booking.created",
            EventType.objects.get(pk="booking.created").roles[0],
            2,
        )
        assert envelope["object"] == {"a": "ä"}

    def test_it_goes_to_one_webhook_alone(
        self, account: Account, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        make_webhook(account, receiver.url, name="another")
        delivery = send(listening_webhook, owner)
        assert drain() == 0
        assert len(receiver.requests) == 1
        event = Event.objects.get()
        assert (event.status, event.delivery_count, event.is_test) == ("DISPATCHED", 1, True)
        assert Delivery.objects.get() == delivery

    def test_it_is_signed_with_the_previous_secret_too(
        self, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        previous = listening_webhook.secret
        listening_webhook.rotate_secret(timezone.now() + timedelta(hours=1))
        send(listening_webhook, owner)
        headers = {name.lower(): value for name, value in receiver.requests[0].headers}
        for secret in (previous, listening_webhook.secret):
            signing.verify_wink(secret, headers, receiver.requests[0].body)

    @pytest.mark.parametrize(
        "content, error",
        [
            ({"a": float("nan")}, InvalidPayload),
            ({"a": "\ud800"}, InvalidPayload),
            ({"a": "x" * events.MAX_ENVELOPE_BYTES}, PayloadTooLarge),
        ],
    )
    def test_what_cannot_be_sent_is_refused_before_anything_is_written(
        self,
        listening_webhook: Webhook,
        receiver: Receiver,
        owner: User,
        content: dict[str, Any],
        error: type[Exception],
    ) -> None:
        with pytest.raises(error):
            send(listening_webhook, owner, object=content)
        assert not receiver.requests
        assert not Event.objects.exists()

    def test_the_same_key_sends_nothing_more(self, listening_webhook: Webhook, receiver: Receiver, owner: User) -> None:
        key = uuid.uuid4()
        first = send(listening_webhook, owner, key=key)
        assert send(listening_webhook, owner, key=key, object={"b": 1}) == first
        assert len(receiver.requests) == Delivery.objects.count() == Event.objects.count() == 1
        assert send(listening_webhook, owner) != first


class TestWhatComesOfIt:
    def test_a_2xx_succeeds(self, listening_webhook: Webhook, owner: User) -> None:
        delivery = send(listening_webhook, owner)
        assert (delivery.status, delivery.end_reason, delivery.last_http_status) == ("SUCCEEDED", "", 204)
        assert (delivery.attempt_count, delivery.next_attempt_at, delivery.leased_until) == (1, None, None)
        assert delivery.finished_at is not None
        attempt = delivery.attempts.get()
        assert (attempt.number, attempt.http_status, attempt.remote_address) == (1, 204, "127.0.0.1")
        assert ledger().balances

    @pytest.mark.parametrize("code", [302, 400, 410, 429, 500, 503])
    def test_a_failure_is_over_at_once_and_changes_nothing_at_the_webhook(
        self, account: Account, owner: User, code: int
    ) -> None:
        with Receiver(status(code, body=b"no")) as receiver:
            webhook = make_webhook(account, receiver.url)
            before = facts(webhook)
            delivery = send(webhook, owner)
            assert drain() == 0
        assert (delivery.status, delivery.end_reason, delivery.last_http_status) == ("DEAD", "TEST_FAILED", code)
        assert (delivery.attempt_count, delivery.next_attempt_at) == (1, None)
        assert bytes(delivery.attempts.get().response_snippet) == b"no"
        assert facts(webhook) == before
        assert ledger().balances
        assert ledger().unfinished == 0

    def test_its_attempt_counts_in_the_figures(
        self, account: Account, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rollups, "SETTLED_AFTER", timedelta(seconds=-1))
        with Receiver(status(503)) as receiver:
            send_to(account, owner, receiver.url)
        rollups.roll_up()
        assert HourlyCount.objects.values_list("succeeded", "failed", "died").get() == (0, 0, 1)

    def test_a_success_does_not_end_the_trouble_of_the_webhook(self, listening_webhook: Webhook, owner: User) -> None:
        health.note([(str(listening_webhook.pk), False)] * 10)
        before = facts(listening_webhook)
        assert before["cooling_until"] > timezone.now()
        assert send(listening_webhook, owner).status == "SUCCEEDED"
        assert facts(listening_webhook) == before

    def test_failed_ones_switch_no_webhook_off(self, account: Account, owner: User) -> None:
        with Receiver(status(500)) as receiver:
            webhook = make_webhook(account, receiver.url)
            for _ in range(health.DEAD_LEAST):
                send(webhook, owner)
        # Even where they were redelivered, which makes them deliveries that do not go last in line.
        Delivery.objects.update(priority=Delivery.Priority.RETRY)
        Webhook.objects.update(failing_since=timezone.now() - timedelta(days=6))
        assert health.disable_failing() == 0

    def test_what_hangs_ends_with_the_time_out(self, account: Account, owner: User) -> None:
        started = time.monotonic()
        with Receiver(receivers.hang) as receiver:
            delivery, attempt = send_to(account, owner, receiver.url)
        assert 1 <= time.monotonic() - started < 5
        assert (delivery.status, delivery.end_reason, attempt.error) == ("DEAD", "TEST_FAILED", "TIMEOUT")

    def test_nobody_may_listen(self, account: Account, owner: User) -> None:
        with closed_port() as port:
            delivery, attempt = send_to(account, owner, f"http://127.0.0.1:{port}/")
        assert (delivery.status, delivery.end_reason, attempt.error) == ("DEAD", "TEST_FAILED", "CONNECT")

    def test_an_address_that_may_not_be_called_is_not(
        self, account: Account, receiver: Receiver, owner: User, settings: Settings
    ) -> None:
        settings.WEBHOOK_ALLOWED_NETWORKS = []
        delivery, attempt = send_to(account, owner, receiver.url)
        assert (delivery.status, delivery.end_reason, attempt.error) == ("DEAD", "TEST_FAILED", "ADDRESS_REFUSED")
        assert not receiver.connections

    def test_a_disabled_webhook_gets_it_and_stays_disabled(
        self, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        listening_webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        before = facts(listening_webhook)
        assert send(listening_webhook, owner).status == "SUCCEEDED"
        assert len(receiver.requests) == 1
        assert facts(listening_webhook) == before

    def test_a_redelivered_one_is_sent_once_more(self, account: Account, owner: User) -> None:
        with Receiver(status(500)) as receiver:
            webhook = make_webhook(account, receiver.url)
            delivery = send(webhook, owner)
            before = facts(webhook)
            assert Delivery.objects.filter(pk=delivery.pk).redeliver() == 1
            assert drain() == 1
        delivery.refresh_from_db()
        assert (delivery.status, delivery.end_reason, delivery.attempt_count) == ("DEAD", "TEST_FAILED", 2)
        assert facts(webhook) == before
        assert ledger().balances


class TestWhereTheProcessDies:
    def test_a_worker_sends_it_when_the_lease_has_run_out(self, unsent: Delivery, receiver: Receiver) -> None:
        assert drain() == 1
        assert len(receiver.requests) == 1
        unsent.refresh_from_db()
        assert (unsent.status, unsent.attempt_count) == ("SUCCEEDED", 1)
        assert ledger().balances

    def test_a_worker_tries_it_once(self, unsent: Delivery, receiver: Receiver) -> None:
        receiver.answer_with(status(410))
        before = facts(unsent.webhook)
        assert drain() == 1
        unsent.refresh_from_db()
        assert (unsent.status, unsent.end_reason, unsent.attempt_count) == ("DEAD", "TEST_FAILED", 1)
        assert facts(unsent.webhook) == before

    def test_a_disabled_webhook_gets_it_too(self, unsent: Delivery, receiver: Receiver) -> None:
        Webhook.objects.update(
            enabled=False, disabled_at=timezone.now(), disabled_reason=Webhook.DisabledReason.BY_USER
        )
        assert drain() == 1
        assert len(receiver.requests) == 1


class TestRecovery:
    @pytest.fixture
    def span(self) -> tuple[Any, Any]:
        return timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)

    @pytest.mark.parametrize("type", ["booking.created", TEST_TYPE])
    @pytest.mark.parametrize("code", [204, 500])
    def test_no_webhook_has_missed_it_and_nothing_failed(
        self, account: Account, owner: User, span: tuple[Any, Any], type: str, code: int
    ) -> None:
        another = make_webhook(account, "https://b.example/", name="another")
        with Receiver(status(code)) as receiver:
            webhook = make_webhook(account, receiver.url)
            send(webhook, owner, type=type)
        for asked in (webhook, another):
            assert count(asked, Recovery.Kind.MISSED, *span) == 0
            assert count(asked, Recovery.Kind.FAILED, *span) == 0

    def test_what_really_happened_is_still_found(
        self, account: Account, listening_webhook: Webhook, owner: User, span: tuple[Any, Any]
    ) -> None:
        announce(account)
        dispatch()
        send(listening_webhook, owner)
        another = make_webhook(account, "https://b.example/", name="another")
        assert count(another, Recovery.Kind.MISSED, *span) == 1


def test_nobody_gets_its_type_from_a_service(account: Account, listening_webhook: Webhook, receiver: Receiver) -> None:
    announce(account, TEST_TYPE)
    assert drain() == 0
    assert not receiver.requests
    assert count(listening_webhook, Recovery.Kind.MISSED, timezone.now() - timedelta(hours=1), timezone.now()) == 0


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_it_is_under_way(
    listening_webhook: Webhook, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(request: Request) -> Answer:
        seen.append((connection.in_atomic_block, Delivery.objects.get().status))
        # What another connection sees is committed.
        other = threading.Thread(target=look_elsewhere)
        other.start()
        other.join()
        return transport.call(request)

    def look_elsewhere() -> None:
        seen.append((connection.in_atomic_block, Delivery.objects.get().status))
        connection.close()

    monkeypatch.setattr(test_events, "call", look)
    send(listening_webhook, owner)
    assert seen == [(False, "PENDING")] * 2
