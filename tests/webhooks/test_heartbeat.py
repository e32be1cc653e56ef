import socket
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries, Settings
from structlog.testing import capture_logs
from time_machine import TimeMachineFixture

from accounts.models import Account, User
from tests.receivers import Receiver, hang, status, trickle_body
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import announce, make_webhook
from webhooks import heartbeat
from webhooks.models import Delivery, Event, Webhook
from winkhooks.uuid7 import first_uuid7_at

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def monitor(receiver: Receiver, settings: Settings, time_machine: TimeMachineFixture) -> Receiver:
    """The outside monitor."""
    time_machine.move_to(START, tick=False)
    settings.HEARTBEAT_URL = receiver.url
    return receiver


def beat() -> list[dict[str, object]]:
    """Beat once; return what was logged."""
    with capture_logs() as logs:
        heartbeat.beat()
    return [dict(line) for line in logs]


def test_where_nothing_is_overdue_the_monitor_is_called(monitor: Receiver, webhook: Webhook) -> None:
    make_delivery(webhook, "SUCCEEDED")
    make_delivery(webhook, "DEAD")
    assert beat() == []
    [request] = monitor.requests
    assert (request.method, request.path) == ("GET", "/webhook/wink")


def test_a_delivery_that_waits_too_long_is_told(
    monitor: Receiver, webhook: Webhook, time_machine: TimeMachineFixture
) -> None:
    make_delivery(webhook)
    time_machine.shift(MINUTE - timedelta(seconds=1))
    assert beat() == []
    time_machine.shift(1)
    assert beat() == [{"event": "overdue", "log_level": "warning", "deliveries": [str(webhook.pk)]}]
    assert len(monitor.requests) == 1


def test_a_retry_whose_time_has_not_come_is_not_overdue(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    make_delivery(webhook, "RETRYING", next_attempt_at=START + timedelta(hours=2))
    time_machine.shift(timedelta(hours=2) + MINUTE - timedelta(seconds=1))
    assert heartbeat.overdue() == {}
    time_machine.shift(1)
    assert heartbeat.overdue() == {"deliveries": [str(webhook.pk)]}


def test_disabled_removed_and_cooling_webhooks_do_not_count(
    account: Account, webhook: Webhook, owner: User, time_machine: TimeMachineFixture
) -> None:
    removed, cooling = (make_webhook(account, "https://b.example/") for _ in range(2))
    webhook.disable(Webhook.DisabledReason.BY_USER, by=owner)
    removed.remove(by=None)
    Webhook.objects.filter(pk=cooling.pk).update(cooling_until=START + timedelta(hours=1))
    for each in (webhook, removed, cooling):
        make_delivery(each)
    time_machine.shift(2 * MINUTE)
    assert heartbeat.overdue() == {}
    time_machine.shift(timedelta(hours=1))
    assert heartbeat.overdue() == {"deliveries": [str(cooling.pk)]}


@pytest.mark.parametrize("priority", Delivery.Priority.values)
def test_each_queue_of_a_webhook_is_looked_at(
    webhook: Webhook, time_machine: TimeMachineFixture, priority: int
) -> None:
    make_delivery(webhook, priority=priority)
    time_machine.shift(MINUTE)
    assert heartbeat.overdue() == {"deliveries": [str(webhook.pk)]}


@pytest.mark.parametrize("priority", Delivery.Priority.values)
def test_a_webhook_to_which_something_is_being_sent_is_not_overdue(
    webhook: Webhook, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch, priority: int
) -> None:
    monkeypatch.setattr(heartbeat, "LOOKED_AT_MOST", 1)
    sent = make_delivery(webhook, priority=priority)
    time_machine.shift(1)
    for other in Delivery.Priority.values:
        make_delivery(webhook, priority=other)
    time_machine.shift(2 * MINUTE)
    Delivery.objects.filter(pk=sent.pk).update(leased_until=START + timedelta(hours=1))
    assert heartbeat.overdue() == {}


def test_what_a_limit_holds_back_is_not_overdue(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    make_delivery(webhook)
    time_machine.shift(timedelta(hours=1))
    Webhook.objects.filter(pk=webhook.pk).update(rate_limit=1, rate_tokens_at=START + timedelta(hours=1))
    assert heartbeat.overdue() == {}
    time_machine.shift(MINUTE)
    assert heartbeat.overdue() == {"deliveries": [str(webhook.pk)]}


def test_a_lease_that_nobody_took_over_is_told(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    make_delivery(webhook, leased_until=START + MINUTE)
    make_delivery(webhook, leased_until=START + timedelta(hours=1))
    time_machine.shift(2 * MINUTE - timedelta(seconds=1))
    assert heartbeat.overdue() == {}
    time_machine.shift(1)
    assert heartbeat.overdue() == {"leases": [str(webhook.pk)]}


def test_an_event_that_nobody_dispatches_is_told(account: Account, time_machine: TimeMachineFixture) -> None:
    [event] = announce(account)
    Event.objects.filter(pk=event.pk).update(id=first_uuid7_at(START))
    time_machine.shift(MINUTE)
    assert heartbeat.overdue() == {}
    time_machine.shift(timedelta(milliseconds=1))
    assert heartbeat.overdue() == {"events": 1}


def test_it_counts_no_further_than_it_must(
    account: Account, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "LOOKED_AT_MOST", 2)
    announce(account, count=3)
    # Ids ask the clock of the machine.
    time_machine.shift(timedelta(days=3650))
    assert heartbeat.overdue() == {"events": 2}


@pytest.mark.parametrize(
    "answer, logged",
    [
        (status(500), {"error": "HTTPError", "http_status": 500}),
        (hang, {"error": "ReadTimeout", "http_status": None}),
    ],
)
def test_a_monitor_that_fails_is_logged_without_its_secret_address(
    monitor: Receiver, monkeypatch: pytest.MonkeyPatch, answer: object, logged: dict[str, object]
) -> None:
    monkeypatch.setattr(heartbeat, "TIMEOUT_SECONDS", 0.2)
    monitor.answer_with(answer)  # type: ignore[arg-type]
    assert beat() == [{"event": "heartbeat_failed", "log_level": "warning"} | logged]


def test_a_monitor_that_is_not_there_is_logged(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.HEARTBEAT_URL = f"http://127.0.0.1:{port}/ping/secret"
    assert [line["error"] for line in beat()] == ["ConnectionError"]


def test_a_monitor_whose_answer_never_ends_holds_nobody(monitor: Receiver) -> None:
    monitor.answer_with(trickle_body)
    assert beat() == []


def test_it_costs_two_queries_however_many_webhooks_there_are(
    account: Account, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        make_delivery(make_webhook(account, "https://b.example/", name=str(number)))
    with django_assert_num_queries(2):
        assert heartbeat.overdue() == {}
