from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import Account, User
from tests.webhooks.conftest import announce, make_webhook
from webhooks.engine.claim import Claim, claim
from webhooks.engine.dispatch import dispatch
from webhooks.engine.outcome import Outcome
from webhooks.engine.record import Result, record
from webhooks.engine.transport import Answer, Phases, Request
from webhooks.events import ledger
from webhooks.models import Attempt, Delivery, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
STARTED = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SUCCEEDED = Outcome(Delivery.Status.SUCCEEDED)
REFUSED = Outcome(Delivery.Status.DEAD, Delivery.EndReason.REFUSED)
EXHAUSTED = Outcome(Delivery.Status.DEAD, Delivery.EndReason.EXHAUSTED)
GONE = Outcome(Delivery.Status.DEAD, Delivery.EndReason.GONE)
RETRYING = Outcome(Delivery.Status.RETRYING, next_attempt_at=STARTED + timedelta(minutes=1))


@pytest.fixture
def claims(account: Account, webhook: Webhook) -> list[Claim]:
    announce(account, count=3)
    dispatch()
    return claim({}, 10, 10)


def result(
    claimed: Claim, outcome: Outcome = SUCCEEDED, status: int | None = 200, url: str = "https://sent.example/"
) -> Result:
    answer = Answer(
        started_at=STARTED,
        duration_ms=12,
        phases=Phases(lookup_ms=1, connect_ms=2, wait_ms=8),
        http_status=status,
        error="" if status else Attempt.Error.TIMEOUT,
        error_text="" if status else "Operation timed out",
        remote_address="192.0.2.7",
        headers=[("Content-Type", "text/plain")],
        snippet=b"\xff\x00ok",
    )
    return Result(claimed, Request(url, [("Wink-Version", "2.0")], claimed.body), answer, outcome)


def test_an_attempt_keeps_what_was_sent_and_what_came_back(claims: list[Claim]) -> None:
    assert record([result(claims[0])]).count == 1
    attempt = Attempt.objects.get()
    assert (str(attempt.delivery_id), attempt.number, attempt.started_at) == (claims[0].delivery_id, 1, STARTED)
    assert (attempt.duration_ms, attempt.http_status, attempt.error) == (12, 200, "")
    assert (attempt.lookup_ms, attempt.connect_ms, attempt.tls_ms, attempt.wait_ms) == (1, 2, None, 8)
    assert attempt.remote_address == "192.0.2.7"
    assert attempt.request_headers == [["Wink-Version", "2.0"]]
    assert attempt.response_headers == [["Content-Type", "text/plain"]]
    assert bytes(attempt.response_snippet) == b"\xff\x00ok"


def test_a_success_ends_the_delivery(claims: list[Claim]) -> None:
    record([result(claims[0])])
    delivery = Delivery.objects.get(pk=claims[0].delivery_id)
    assert (delivery.status, delivery.end_reason, delivery.next_attempt_at) == ("SUCCEEDED", "", None)
    assert (delivery.attempt_count, delivery.last_http_status, delivery.url) == (1, 200, "https://sent.example/")
    assert delivery.leased_until is None
    assert delivery.finished_at is not None


def test_a_retry_has_its_time(claims: list[Claim]) -> None:
    record([result(claims[0], RETRYING, None)])
    delivery = Delivery.objects.get(pk=claims[0].delivery_id)
    assert (delivery.status, delivery.next_attempt_at) == ("RETRYING", RETRYING.next_attempt_at)
    assert (delivery.attempt_count, delivery.last_http_status, delivery.finished_at) == (1, None, None)
    assert delivery.leased_until is None


def test_a_batch_of_all_kinds_is_written_together(claims: list[Claim]) -> None:
    outcomes = [SUCCEEDED, RETRYING, REFUSED]
    assert record([result(claimed, outcome) for claimed, outcome in zip(claims, outcomes, strict=True)]).count == 3
    written = {str(pk): status for pk, status in Delivery.objects.values_list("id", "status")}
    assert [written[claimed.delivery_id] for claimed in claims] == ["SUCCEEDED", "RETRYING", "DEAD"]
    assert ledger().balances


def test_a_lease_that_another_worker_holds_by_now_writes_nothing(claims: list[Claim]) -> None:
    later = claims[0].leased_until + timedelta(minutes=1)
    Delivery.objects.filter(pk=claims[0].delivery_id).update(leased_until=later)
    assert record([result(claims[0]), result(claims[1])]).count == 1
    delivery = Delivery.objects.get(pk=claims[0].delivery_id)
    assert (delivery.status, delivery.attempt_count, delivery.leased_until) == ("PENDING", 0, later)
    assert str(Attempt.objects.get().delivery_id) == claims[1].delivery_id
    assert ledger().balances


class TestCancelledMeanwhile:
    @pytest.mark.parametrize("outcome", [RETRYING, REFUSED])
    def test_it_stays_cancelled_and_keeps_the_attempt(self, claims: list[Claim], outcome: Outcome) -> None:
        assert Delivery.objects.filter(pk=claims[0].delivery_id).cancel(Delivery.EndReason.BY_USER) == 1
        assert record([result(claims[0], outcome, 500)]).count == 1
        delivery = Delivery.objects.get(pk=claims[0].delivery_id)
        assert (delivery.status, delivery.end_reason) == ("CANCELLED", "BY_USER")
        assert (delivery.attempt_count, delivery.last_http_status, delivery.leased_until) == (1, 500, None)
        assert Attempt.objects.count() == 1

    def test_it_has_succeeded_where_the_receiver_took_it(self, claims: list[Claim]) -> None:
        Delivery.objects.filter(pk=claims[0].delivery_id).cancel(Delivery.EndReason.BY_USER)
        record([result(claims[0])])
        delivery = Delivery.objects.get(pk=claims[0].delivery_id)
        assert (delivery.status, delivery.end_reason) == ("SUCCEEDED", "")


class TestDisabledMeanwhile:
    def test_what_is_under_way_is_not_tried_again(self, claims: list[Claim], webhook: Webhook, owner: User) -> None:
        webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        record([result(claims[0], RETRYING, 500)])
        delivery = Delivery.objects.get(pk=claims[0].delivery_id)
        assert (delivery.status, delivery.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")

    def test_nor_where_the_webhook_was_removed(self, claims: list[Claim], webhook: Webhook, owner: User) -> None:
        webhook.remove(owner)
        record([result(claims[0], RETRYING, 500)])
        delivery = Delivery.objects.get(pk=claims[0].delivery_id)
        assert (delivery.status, delivery.end_reason) == ("CANCELLED", "WEBHOOK_REMOVED")


def test_410_switches_the_webhook_off_and_cancels_the_rest(account: Account, webhook: Webhook) -> None:
    announce(account, count=3)
    dispatch()
    [claimed] = claim({}, 1, 1)
    record([result(claimed, GONE, 410, url=webhook.url)])
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_reason, webhook.disabled_by) == (False, "GONE", None)
    assert webhook.states.latest("since").disabled_reason == "GONE"
    assert Delivery.objects.get(pk=claimed.delivery_id).status == "DEAD"
    others = Delivery.objects.exclude(pk=claimed.delivery_id)
    assert set(others.values_list("status", "end_reason")) == {("CANCELLED", "WEBHOOK_DISABLED")}


def test_410_of_a_url_that_the_webhook_had_before_leaves_it_on(claims: list[Claim], webhook: Webhook) -> None:
    record([result(claims[0], GONE, 410, url="https://old.example/")])
    webhook.refresh_from_db()
    assert webhook.enabled
    assert Delivery.objects.get(pk=claims[0].delivery_id).status == "DEAD"


def test_what_is_redelivered_while_its_last_attempt_is_under_way_is_sent_again(claims: list[Claim]) -> None:
    delivery = Delivery.objects.filter(pk=claims[0].delivery_id)
    delivery.update(attempt_count=9)
    last = claims[0]._replace(attempt_count=9)
    delivery.cancel(Delivery.EndReason.BY_USER)
    assert delivery.redeliver() == 1
    assert record([result(last, EXHAUSTED, 500)]).count == 1
    redelivered = delivery.get()
    assert (redelivered.status, redelivered.attempt_count, redelivered.leased_until) == ("PENDING", 10, None)
    assert redelivered.next_attempt_at is not None
    assert redelivered.budget_start == 9


def test_failures_count_for_the_health_of_their_webhook(account: Account, claims: list[Claim]) -> None:
    make_webhook(account, "https://b.example/", name="other")
    record([result(claims[0], RETRYING, 500), result(claims[1], REFUSED, 404)])
    assert dict(Webhook.objects.values_list("name", "consecutive_failures")) == {"Wink Stalker": 2, "other": 0}
