"""The whole engine against real receivers, for each row of the contract's table."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import DataError, OperationalError, connection
from django.utils import timezone
from pytest_django import Settings
from time_machine import TimeMachineFixture

from accounts.models import Account, User
from tests import receivers
from tests.receivers import Receiver, closed_port, retry_after, status
from tests.webhooks.conftest import announce, make_webhook
from webhooks import signing, wake
from webhooks.engine import drain as drain_module
from webhooks.engine import record as record_module
from webhooks.engine.drain import drain
from webhooks.engine.record import Recorded, Result, record
from webhooks.engine.transport import Transport
from webhooks.events import ledger
from webhooks.models import Attempt, Delivery, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db, pytest.mark.usefixtures("loopback_allowed", "demanding")]


def deliver_to(account: Account, url: str) -> Delivery:
    make_webhook(account, url)
    announce(account)
    drain()
    return Delivery.objects.get()


def wait_of(delivery: Delivery) -> timedelta:
    assert delivery.next_attempt_at is not None
    return delivery.next_attempt_at - timezone.now()


def test_what_arrives_is_what_is_stored_and_what_is_signed(
    account: Account, listening_webhook: Webhook, receiver: Receiver
) -> None:
    [event] = announce(account)
    assert drain() == 1
    [request] = receiver.requests
    delivery = Delivery.objects.get()
    assert request.body == event.body
    assert request.header("Content-Type") == "application/json"
    assert request.header("Wink-Event-Id") == request.header("webhook-id") == str(event.id)
    assert request.header("Wink-Event-Type") == "booking.created"
    assert request.header("Wink-Delivery-Id") == str(delivery.id)
    assert request.header("Wink-Delivery-Attempt") == "1"
    assert request.header("Wink-Version") == "2.0"
    headers = {name.lower(): value for name, value in request.headers}
    signing.verify_wink(listening_webhook.secret, headers, request.body)
    signing.verify_standard(listening_webhook.secret, headers, request.body)
    attempt = Attempt.objects.get()
    assert {tuple(header) for header in attempt.request_headers} <= set(request.headers)
    assert delivery.status == "SUCCEEDED"
    assert ledger().balances


def test_the_previous_secret_signs_too_while_it_is_valid(
    account: Account, listening_webhook: Webhook, receiver: Receiver
) -> None:
    previous = listening_webhook.secret
    listening_webhook.rotate_secret(timezone.now() + timedelta(hours=24))
    announce(account)
    drain()
    headers = {name.lower(): value for name, value in receiver.requests[0].headers}
    for secret in (previous, listening_webhook.secret):
        signing.verify_wink(secret, headers, receiver.requests[0].body)
        signing.verify_standard(secret, headers, receiver.requests[0].body)
    listening_webhook.previous_secret_expires_at = timezone.now()
    listening_webhook.save()
    announce(account)
    drain()
    headers = {name.lower(): value for name, value in receiver.requests[1].headers}
    with pytest.raises(signing.InvalidSignature):
        signing.verify_wink(previous, headers, receiver.requests[1].body)


class TestTheTable:
    @pytest.mark.parametrize("code", [200, 204, 299])
    def test_2xx_succeeds(self, account: Account, code: int) -> None:
        with Receiver(status(code)) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert (delivery.status, delivery.last_http_status) == ("SUCCEEDED", code)

    @pytest.mark.parametrize("code", [500, 502, 503, 504, 408, 429])
    def test_5xx_408_and_429_are_tried_again_in_a_minute(self, account: Account, code: int) -> None:
        with Receiver(status(code)) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert (delivery.status, delivery.last_http_status) == ("RETRYING", code)
        assert timedelta(seconds=55) < wait_of(delivery) <= timedelta(seconds=66)

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed_but_tried_again(self, account: Account, code: int) -> None:
        with Receiver() as elsewhere, Receiver(receivers.redirect(elsewhere.url, code)) as receiver:
            delivery = deliver_to(account, receiver.url)
            assert elsewhere.requests == []
        assert (delivery.status, delivery.last_http_status) == ("RETRYING", code)

    @pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 422])
    def test_other_4xx_are_dead_at_once(self, account: Account, code: int) -> None:
        with Receiver(status(code)) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert (delivery.status, delivery.end_reason, delivery.last_http_status) == ("DEAD", "REFUSED", code)

    def test_410_is_dead_at_once_and_switches_the_webhook_off(self, account: Account) -> None:
        with Receiver(status(410)) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert (delivery.status, delivery.end_reason) == ("DEAD", "GONE")
        webhook = Webhook.objects.get()
        assert (webhook.enabled, webhook.disabled_reason) == (False, "GONE")

    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_in_seconds_postpones(self, account: Account, code: int) -> None:
        with Receiver(status(code, headers=[retry_after(3600)])) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert timedelta(minutes=59) < wait_of(delivery) <= timedelta(minutes=60)

    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_as_a_date_postpones(self, account: Account, code: int) -> None:
        with Receiver(status(code, headers=[retry_after(timezone.now() + timedelta(hours=2))])) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert timedelta(minutes=119) < wait_of(delivery) <= timedelta(minutes=120)

    @pytest.mark.parametrize(
        "slow", [receivers.hang, receivers.trickle_headers, receivers.trickle_body], ids=lambda slow: slow.__name__
    )
    def test_a_slow_answer_is_a_time_out(self, account: Account, slow: receivers.Answer) -> None:
        with Receiver(slow) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert (delivery.status, delivery.last_http_status) == ("RETRYING", None)
        assert Attempt.objects.get().error == "TIMEOUT"

    @pytest.mark.parametrize(
        "misbehaviour, error",
        [
            (receivers.reset_before_reading, "RESET"),
            (receivers.reset_after_reading, "RESET"),
            (receivers.close_without_answer, "RESET"),
            (receivers.close_within_body, "RESET"),
            (receivers.not_http, "PROTOCOL"),
        ],
    )
    def test_a_broken_answer_is_tried_again(self, account: Account, misbehaviour: receivers.Answer, error: str) -> None:
        with Receiver(misbehaviour) as receiver:
            delivery = deliver_to(account, receiver.url)
        assert delivery.status == "RETRYING"
        assert Attempt.objects.get().error == error

    def test_a_refused_connection_is_tried_again(self, account: Account) -> None:
        with closed_port() as port:
            delivery = deliver_to(account, f"http://127.0.0.1:{port}/")
        assert delivery.status == "RETRYING"
        assert Attempt.objects.get().error == "CONNECT"

    def test_a_name_that_does_not_exist_is_tried_again(self, account: Account) -> None:
        assert deliver_to(account, "http://nowhere.invalid/").status == "RETRYING"
        assert Attempt.objects.get().error == "NAME"

    def test_a_certificate_that_is_not_trusted_is_tried_again(self, account: Account) -> None:
        with Receiver(tls=True) as receiver:
            assert deliver_to(account, receiver.url).status == "RETRYING"
        assert Attempt.objects.get().error == "TLS"

    def test_a_body_of_50_mb_is_cut_and_counts(self, account: Account) -> None:
        with Receiver(receivers.streamed(50_000_000)) as receiver:
            assert deliver_to(account, receiver.url).status == "SUCCEEDED"
        assert len(Attempt.objects.get().response_snippet) == 4096

    def test_an_address_that_may_not_be_called_is_tried_again_and_never_reached(
        self, account: Account, settings: Settings
    ) -> None:
        with Receiver() as receiver:
            settings.WEBHOOK_ALLOWED_NETWORKS = []
            assert deliver_to(account, receiver.url).status == "RETRYING"
            assert receiver.connections == 0
        assert Attempt.objects.get().error == "ADDRESS_REFUSED"


def test_the_tenth_failure_is_the_last(account: Account) -> None:
    with Receiver(status(500)) as receiver:
        deliver_to(account, receiver.url)
        for _ in range(20):
            Delivery.objects.all().retry_now()
            drain()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.end_reason, delivery.attempt_count) == ("DEAD", "EXHAUSTED", 10)
    assert [request.header("Wink-Delivery-Attempt") for request in receiver.requests] == [str(n) for n in range(1, 11)]
    assert len({request.header("webhook-id") for request in receiver.requests}) == 1
    assert len({request.body for request in receiver.requests}) == 1
    assert ledger().balances


def test_a_redelivery_is_numbered_on_and_goes_to_the_present_url(account: Account, receiver: Receiver) -> None:
    with Receiver(status(404)) as refusing:
        deliver_to(account, refusing.url)
    Webhook.objects.update(url=receiver.url)
    assert Delivery.objects.all().redeliver() == 1
    drain()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempt_count, delivery.url) == ("SUCCEEDED", 2, receiver.url)
    assert receiver.requests[0].header("Wink-Delivery-Attempt") == "2"


@pytest.mark.parametrize("off", ["disabled", "removed"])
def test_what_waits_for_a_webhook_that_is_off_is_cancelled(
    account: Account, owner: User, listening_webhook: Webhook, receiver: Receiver, off: str
) -> None:
    announce(account)
    drain()
    Delivery.objects.all().redeliver()
    # As when a delivery was made at the moment in which the webhook was switched off.
    if off == "disabled":
        listening_webhook.disable(Webhook.DisabledReason.BY_USER, owner)
    else:
        listening_webhook.remove(owner)
    Delivery.objects.update(status="PENDING", next_attempt_at=timezone.now(), finished_at=None, end_reason="")
    drain()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.end_reason) == ("CANCELLED", f"WEBHOOK_{off.upper()}")
    assert delivery.leased_until is None
    assert len(receiver.requests) == 1


def test_no_webhook_has_more_in_flight_than_its_cap(account: Account, settings: Settings) -> None:
    settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK = 3
    with Receiver(status(204, delay=0.2)) as receiver:
        make_webhook(account, receiver.url)
        announce(account, count=20)
        assert drain() == 20
    assert receiver.most_at_once == 3


def test_a_webhook_that_hangs_does_not_delay_another(account: Account, receiver: Receiver) -> None:
    with Receiver(receivers.hang) as hanging:
        make_webhook(account, hanging.url, name="hanging")
        make_webhook(account, receiver.url, name="quick")
        announce(account, count=30)
        started = time.monotonic()
        drain()
        quick = [request.at - started for request in receiver.requests]
    assert len(quick) == 30
    assert max(quick) < 1.0  # the time-out of the hanging one
    assert set(Delivery.objects.filter(webhook__name="quick").values_list("status", flat=True)) == {"SUCCEEDED"}


def test_all_of_many_arrive_once(account: Account, listening_webhook: Webhook, receiver: Receiver) -> None:
    announced = announce(account, count=450)
    assert drain() == 450
    assert {request.header("webhook-id") for request in receiver.requests} == {str(event.id) for event in announced}
    assert len(receiver.requests) == 450
    books = ledger()
    assert books.balances
    assert (books.unfinished, books.deliveries) == (0, {"SUCCEEDED": 450})


def test_it_rings_for_another_worker_when_there_is_more_than_it_takes(
    account: Account, listening_webhook: Webhook, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_IN_FLIGHT = 2
    rung: list[bool] = []
    monkeypatch.setattr(wake, "ring_soon", lambda: rung.append(True))
    announce(account, count=20)
    drain()
    assert rung


def test_it_stops_after_its_time_and_rings_for_the_next(
    account: Account, listening_webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[bool] = []
    monkeypatch.setattr(wake, "ring", lambda: rung.append(True))
    monkeypatch.setattr(drain_module, "LONGEST_SECONDS", 0.0)
    announce(account)
    assert drain() == 0
    assert rung


def test_what_cannot_start_within_its_lease_is_given_back(
    account: Account, listening_webhook: Webhook, receiver: Receiver, settings: Settings
) -> None:
    settings.WEBHOOK_LEASE_SECONDS = settings.WEBHOOK_TIMEOUT_SECONDS  # refused by a check at start
    drainer = drain_module.Drain(Transport(1))
    announce(account)
    drainer._take_work()
    drainer._send()
    assert Delivery.objects.get().leased_until is None
    assert receiver.requests == []


def test_a_database_that_fails_for_a_moment_loses_nothing_and_sends_nothing_twice(
    account: Account, listening_webhook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OperationalError("gone"), OperationalError("still gone")]

    def record_at_last(results: list[Result]) -> Recorded:
        if failures:
            raise failures.pop()
        return record(results)

    monkeypatch.setattr(record_module, "record", record_at_last)
    monkeypatch.setattr(connection, "close", lambda: None)
    announce(account, count=5)
    assert drain() == 5
    assert len(receiver.requests) == 5
    assert ledger().balances


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection that could break.")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["webhooks_delivery", "webhooks_attempt"])
def test_a_connection_that_breaks_in_the_middle_of_a_batch_loses_nothing_and_sends_nothing_twice(
    account: Account, listening_webhook: Webhook, receiver: Receiver, table: str
) -> None:
    """The server ends the connection at the first write after the requests; the second time all goes well."""
    event = "UPDATE OF attempt_count" if table == "webhooks_delivery" else "INSERT"
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE breakage")
        cursor.execute("""
            CREATE FUNCTION break_once() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('breakage') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                RETURN NEW;
            END $$
        """)
        cursor.execute(f"CREATE TRIGGER break_once BEFORE {event} ON {table} EXECUTE FUNCTION break_once()")
    try:
        announce(account, count=30)
        assert drain() == 30
        assert len(receiver.requests) == 30
        assert ledger().balances
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION break_once CASCADE")
            cursor.execute("DROP SEQUENCE breakage")


def test_a_result_that_the_database_refuses_takes_no_other_along(
    account: Account, listening_webhook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = announce(account, count=10)[3]

    def record_all_but_one(results: list[Result]) -> Recorded:
        if any(result.claim.event_id == str(refused.id) for result in results):
            raise DataError("not this one")
        return record(results)

    monkeypatch.setattr(record_module, "record", record_all_but_one)
    assert drain() == 9
    assert Delivery.objects.filter(status="SUCCEEDED").count() == 9
    assert len(receiver.requests) == 10


@pytest.mark.parametrize("count", [21, 30, 45, 100])
def test_it_ends_only_when_nothing_is_due(
    account: Account, listening_webhook: Webhook, receiver: Receiver, count: int
) -> None:
    announce(account, count=count)
    assert drain() == count


class TestChangesWhileDeliveriesWait:
    """One request is in flight and holds the others back; what was claimed with it is not sent after the change."""

    @pytest.fixture
    def slow(self, account: Account, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
        settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK = 1
        monkeypatch.setattr(drain_module, "REVIEW_SECONDS", 0.0)
        with Receiver(status(204, delay=0.4)) as slow:
            make_webhook(account, slow.url)
            announce(account, count=2)
            yield slow

    def drain_and(self, change: Callable[[], object], slow: Receiver) -> None:
        done = False

        def change_once_sent() -> bool:
            nonlocal done
            if slow.requests and not done:
                done = True
                change()
            return False

        drain(should_stop=change_once_sent)

    @pytest.mark.parametrize("off", ["disable", "remove"])
    def test_a_webhook_that_is_switched_off_gets_nothing_more(self, slow: Receiver, owner: User, off: str) -> None:
        webhook = Webhook.objects.get()
        reason = Webhook.DisabledReason.BY_USER
        self.drain_and(lambda: webhook.disable(reason, owner) if off == "disable" else webhook.remove(owner), slow)
        assert len(slow.requests) == 1
        assert sorted(Delivery.objects.values_list("status", "attempt_count")) == [("CANCELLED", 0), ("SUCCEEDED", 1)]

    def test_what_is_cancelled_is_not_sent(self, slow: Receiver) -> None:
        self.drain_and(lambda: Delivery.objects.all().cancel(Delivery.EndReason.BY_USER), slow)
        assert len(slow.requests) == 1
        ends = set(Delivery.objects.values_list("status", "end_reason", "leased_until"))
        assert ends == {("SUCCEEDED", "", None), ("CANCELLED", "BY_USER", None)}

    def test_the_next_request_goes_to_the_new_url_with_the_new_secret(self, slow: Receiver, receiver: Receiver) -> None:
        webhook = Webhook.objects.get()

        def change() -> None:
            Webhook.objects.update(url=receiver.url)
            webhook.rotate_secret(None)

        self.drain_and(change, slow)
        assert (len(slow.requests), len(receiver.requests)) == (1, 1)
        headers = {name.lower(): value for name, value in receiver.requests[0].headers}
        signing.verify_wink(webhook.secret, headers, receiver.requests[0].body)

    def test_410_stops_what_waits(self, slow: Receiver) -> None:
        slow.answer_with(status(410, delay=0.2))
        drain()
        assert len(slow.requests) == 1
        assert sorted(Delivery.objects.values_list("status", flat=True)) == ["CANCELLED", "DEAD"]


def test_many_webhooks_that_hang_leave_room_for_the_others(
    account: Account, receiver: Receiver, settings: Settings
) -> None:
    settings.WEBHOOK_IN_FLIGHT = 20
    settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK = 5
    settings.WEBHOOK_TIMEOUT_SECONDS = 2.0
    with Receiver(receivers.hang) as hanging:
        for number in range(8):
            make_webhook(account, hanging.url, name=str(number))
        Webhook.objects.update(failing_since=timezone.now(), consecutive_failures=1)
        make_webhook(account, receiver.url, name="quick")
        announce(account, count=15)
        started = time.monotonic()
        drain()
    assert len(receiver.requests) == 15
    assert max(request.at for request in receiver.requests) - started < 1.9


def test_a_secret_that_is_no_key_stops_no_other_webhook(
    account: Account, listening_webhook: Webhook, receiver: Receiver
) -> None:
    broken = make_webhook(account, receiver.url, name="broken")
    broken.secret = "whsec_notbase64!"
    broken.save()
    announce(account)
    drain()
    assert listening_webhook.deliveries.get().status == "SUCCEEDED"
    assert broken.deliveries.get().status == "RETRYING"
    attempt = Attempt.objects.get(delivery__webhook=broken)
    assert (attempt.error, attempt.error_text) == ("REQUEST", "InvalidSignature")


def test_a_clock_that_jumps_over_the_lease_sends_nothing_twice(
    account: Account, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    with Receiver(status(204, delay=0.5)) as receiver:
        make_webhook(account, receiver.url)
        announce(account, count=3)
        jumped = False

        def jump_once_sent() -> bool:
            nonlocal jumped
            if len(receiver.requests) == 3 and not jumped:
                jumped = True
                time_machine.move_to(timezone.now() + timedelta(hours=1))
            return False

        assert drain(should_stop=jump_once_sent) == 3
    assert len(receiver.requests) == 3
    assert set(Delivery.objects.values_list("status", "leased_until")) == {("SUCCEEDED", None)}


def test_a_secret_that_cannot_be_decrypted_stops_no_other_webhook(
    account: Account, listening_webhook: Webhook, receiver: Receiver
) -> None:
    unreadable = make_webhook(account, receiver.url, name="unreadable")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_webhook SET secret = 'nonsense' WHERE name = 'unreadable'")
    announce(account)
    drain()
    assert listening_webhook.deliveries.get().status == "SUCCEEDED"
    waiting = unreadable.deliveries.get()
    assert (waiting.status, waiting.attempt_count) == ("PENDING", 0)


def test_once_told_to_stop_it_finishes_what_is_in_flight_and_gives_back_the_rest(
    account: Account, settings: Settings
) -> None:
    settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK = 3
    with Receiver(status(204, delay=0.2)) as receiver:
        make_webhook(account, receiver.url)
        announce(account, count=6)
        assert drain(should_stop=lambda: bool(receiver.requests)) == 3
    assert len(receiver.requests) == 3
    given_back = Delivery.objects.filter(status="PENDING")
    assert given_back.count() == 3
    assert not given_back.exclude(leased_until=None).exists()
