"""Recoveries, with the engine and a real receiver behind them."""

import secrets
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account, User
from tests.receivers import Receiver, status
from tests.webhooks.conftest import announce, make_webhook
from webhooks import recovery as recovery_module
from webhooks import retention
from webhooks.engine.dispatch import dispatch
from webhooks.engine.drain import drain
from webhooks.events import ledger
from webhooks.models import Attempt, Delivery, Event, EventType, Recovery, Webhook
from webhooks.recovery import AlreadyRunning, cancel, count, count_soon, start, step, work
from winkhooks.uuid7 import first_uuid7_at, time_of

pytestmark = [pytest.mark.storage, pytest.mark.django_db, pytest.mark.usefixtures("loopback_allowed", "demanding")]
FAILED, MISSED = Recovery.Kind.FAILED, Recovery.Kind.MISSED


def an_hour() -> tuple[datetime, datetime]:
    return timezone.now() - timedelta(hours=1), timezone.now() + timedelta(minutes=1)


def ask_for(webhook: Webhook, kind: str, by: User) -> Recovery:
    """Start a recovery of all that there is: ids are from before the end, which is clipped to the present."""
    since, _ = an_hour()
    recovery = start(webhook, kind, since, timezone.now(), by)
    # An id of this very millisecond would be behind it.
    Recovery.objects.filter(pk=recovery.pk).update(until=timezone.now() + timedelta(seconds=1))
    recovery.refresh_from_db()
    return recovery


def make_dead(webhook: Webhook, events: int) -> None:
    announce(webhook.account, count=events)
    while dispatch().events:
        pass
    webhook.deliveries.update(
        status="DEAD", end_reason="EXHAUSTED", next_attempt_at=None, finished_at=timezone.now(), attempt_count=0
    )


def make_missed(account: Account, events: int) -> list[Event]:
    """Announce what no webhook gets."""
    announced = announce(account, count=events)
    Webhook.objects.filter(account=account).update(
        enabled=False, disabled_at=timezone.now(), disabled_reason=Webhook.DisabledReason.BY_USER
    )
    while dispatch().events:
        pass
    Webhook.objects.filter(account=account).update(enabled=True, disabled_at=None, disabled_reason="")
    return announced


def finish(recovery: Recovery) -> Recovery:
    """Let steps and drains take turns, as bells and sweeps do, until it has finished."""
    for _ in range(20):
        work(recovery.pk)
        drain()
        recovery.refresh_from_db()
        if recovery.finished_at:
            break
    return recovery


@pytest.fixture(autouse=True)
def earlier_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a recovery take what was made in the millisecond in which it was asked for."""

    def at_the_end_of_it(moment: datetime) -> UUID:
        return first_uuid7_at(moment + timedelta(milliseconds=1))

    monkeypatch.setattr(recovery_module, "first_uuid7_at", at_the_end_of_it)


class TestWhatItFinds:
    def test_dead_deliveries_failed(self, webhook: Webhook) -> None:
        make_dead(webhook, 3)
        assert count(webhook, FAILED, *an_hour()) == 3
        assert count(webhook, MISSED, *an_hour()) == 0

    @pytest.mark.parametrize(
        "reason, found",
        [("WEBHOOK_DISABLED", 1), ("RECOVERY_ENDED", 1), ("BY_USER", 0), ("WEBHOOK_REMOVED", 0)],
    )
    def test_what_was_swept_away_failed_too(self, webhook: Webhook, reason: str, found: int) -> None:
        make_dead(webhook, 1)
        Delivery.objects.update(status="CANCELLED", end_reason=reason)
        assert count(webhook, FAILED, *an_hour()) == found

    @pytest.mark.parametrize("state", ["SUCCEEDED", "PENDING"])
    def test_what_arrived_or_waits_is_left(self, webhook: Webhook, state: str) -> None:
        make_dead(webhook, 1)
        Delivery.objects.update(
            status=state,
            end_reason="",
            **({"next_attempt_at": timezone.now(), "finished_at": None} if state == "PENDING" else {}),
        )
        assert count(webhook, FAILED, *an_hour()) == count(webhook, MISSED, *an_hour()) == 0

    def test_events_without_a_delivery_were_missed(self, account: Account, webhook: Webhook) -> None:
        make_missed(account, 2)
        assert count(webhook, MISSED, *an_hour()) == 2
        assert set(Event.objects.values_list("status", flat=True)) == {"NO_SUBSCRIBERS"}

    def test_a_page_counts_what_was_missed_as_far_as_it_may_wait(
        self, account: Account, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events = make_missed(account, 2)
        # Those of one millisecond are counted together.
        time.sleep(0.005)
        make_missed(account, 1)
        assert count_soon(webhook, MISSED, *an_hour()) == (3, None)
        monkeypatch.setattr(recovery_module, "LOOKED_AT_MOST", 2)
        last = max(event.pk for event in events)
        assert count_soon(webhook, MISSED, *an_hour()) == (2, time_of(last))
        make_dead(webhook, 4)
        assert count_soon(webhook, FAILED, *an_hour()) == (4, None)

    def test_only_those_of_its_present_types_were(self, account: Account, webhook: Webhook) -> None:
        make_missed(account, 2)
        webhook.event_types.set(EventType.objects.filter(key="booking.cancelled"))
        assert count(webhook, MISSED, *an_hour()) == 0
        webhook.event_types.set(EventType.objects.filter(key__in=["booking.created", "booking.cancelled"]))
        assert count(webhook, MISSED, *an_hour()) == 2

    def test_what_another_webhook_got_was_missed(self, account: Account, webhook: Webhook) -> None:
        announce(account)
        dispatch()
        late = make_webhook(account, "https://late.example/", name="late")
        assert count(late, MISSED, *an_hour()) == 1
        assert count(webhook, MISSED, *an_hour()) == 0

    def test_what_is_not_dispatched_yet_is_left_to_the_engine(self, account: Account, webhook: Webhook) -> None:
        announce(account)
        assert count(webhook, MISSED, *an_hour()) == 0

    def test_what_webhooks_do_not_get_was_not_missed(self, account: Account, webhook: Webhook) -> None:
        make_missed(account, 1)
        EventType.objects.filter(key="booking.created").update(delivered=False)
        assert count(webhook, MISSED, *an_hour()) == 0

    def test_events_of_other_accounts_are_not_its_own(self, webhook: Webhook) -> None:
        other = Account.objects.create(name="Other")
        make_missed(other, 1)
        assert count(webhook, MISSED, *an_hour()) == 0

    def test_only_what_is_between_the_times(self, webhook: Webhook) -> None:
        make_dead(webhook, 1)
        start_of_hour, end_of_hour = an_hour()
        assert count(webhook, FAILED, start_of_hour - timedelta(hours=1), start_of_hour) == 0
        assert count(webhook, FAILED, end_of_hour, end_of_hour + timedelta(hours=1)) == 0

    def test_what_is_about_to_be_removed_is_left(self, webhook: Webhook, settings: Settings) -> None:
        make_dead(webhook, 1)
        old = timezone.now() - timedelta(days=settings.WEBHOOK_KEEP_DAYS) + timedelta(minutes=30)
        Delivery.objects.update(id=UUID(int=first_uuid7_at(old).int | secrets.randbits(62)))
        assert count(webhook, FAILED, old - timedelta(days=1), timezone.now()) == 0

    def test_it_counts_no_further_than_it_takes(self, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery_module, "MOST", 2)
        make_dead(webhook, 5)
        assert count(webhook, FAILED, *an_hour()) == 3


class TestFailed:
    def test_it_arrives_with_a_fresh_budget_last_in_line(
        self, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        make_dead(listening_webhook, 3)
        recovery = ask_for(listening_webhook, FAILED, owner)
        work(recovery.pk)
        assert set(Delivery.objects.values_list("status", "priority", "recovery")) == {("PENDING", 2, recovery.pk)}
        recovery = finish(recovery)
        assert (recovery.status, recovery.total, recovery.replayed) == ("DONE", 3, 3)
        assert recovery.standing() == (3, 0, 0, 0, 0, 0)
        assert len(receiver.requests) == 3
        assert ledger().balances

    def test_attempts_are_numbered_on(self, account: Account, receiver: Receiver, owner: User) -> None:
        with Receiver(status(404)) as refusing:
            webhook = make_webhook(account, refusing.url)
            announce(account)
            drain()
        Webhook.objects.update(url=receiver.url)
        finish(ask_for(webhook, FAILED, owner))
        assert receiver.requests[0].header("Wink-Delivery-Attempt") == "2"
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.budget_start, delivery.url) == ("SUCCEEDED", 1, receiver.url)

    def test_what_fails_again_is_not_taken_up_twice(self, account: Account, owner: User) -> None:
        with Receiver(status(404)) as refusing:
            webhook = make_webhook(account, refusing.url)
            announce(account, count=3)
            drain()
            recovery = finish(ask_for(webhook, FAILED, owner))
            assert len(refusing.requests) == 6
        assert recovery.status == "DONE"
        assert recovery.standing() == (0, 3, 0, 0, 0, 0)

    def test_it_takes_no_more_than_it_counted(self, listening_webhook: Webhook, owner: User) -> None:
        make_dead(listening_webhook, 2)
        recovery = ask_for(listening_webhook, FAILED, owner)
        make_dead(listening_webhook, 2)
        recovery = finish(recovery)
        assert (recovery.status, recovery.total, recovery.replayed) == ("DONE", 2, 2)

    def test_what_somebody_sent_meanwhile_is_left_out(self, listening_webhook: Webhook, owner: User) -> None:
        make_dead(listening_webhook, 2)
        recovery = ask_for(listening_webhook, FAILED, owner)
        Delivery.objects.filter(pk=Delivery.objects.earliest("pk").pk).redeliver()
        drain()
        recovery = finish(recovery)
        assert recovery.status == "DONE"
        assert recovery.standing() == (1, 0, 0, 0, 1, 0)

    def test_what_is_sent_again_later_does_not_belong_to_it_any_more(
        self, listening_webhook: Webhook, owner: User
    ) -> None:
        make_dead(listening_webhook, 2)
        recovery = finish(ask_for(listening_webhook, FAILED, owner))
        Delivery.objects.filter(pk=Delivery.objects.earliest("pk").pk).redeliver()
        assert recovery.standing() == (1, 0, 0, 0, 0, 1)


class TestMissed:
    def test_what_was_never_sent_arrives(
        self, account: Account, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        missed = make_missed(account, 3)
        recovery = finish(ask_for(listening_webhook, MISSED, owner))
        assert recovery.status == "DONE"
        assert recovery.standing() == (3, 0, 0, 0, 0, 0)
        assert {request.body for request in receiver.requests} == {event.body for event in missed}
        assert set(Event.objects.values_list("status", "delivery_count")) == {("DISPATCHED", 1)}
        assert ledger().balances

    def test_the_count_of_an_event_that_others_got_goes_up(
        self, account: Account, webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        announce(account)
        dispatch()
        late = make_webhook(account, receiver.url, name="late")
        finish(ask_for(late, MISSED, owner))
        assert Event.objects.get().delivery_count == 2
        assert ledger().balances

    def test_a_disabled_webhook_gets_it(
        self, account: Account, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        make_missed(account, 3)
        listening_webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        recovery = finish(ask_for(listening_webhook, MISSED, owner))
        assert recovery.standing().arrived == len(receiver.requests) == 3
        listening_webhook.refresh_from_db()
        assert not listening_webhook.enabled

    def test_what_fails_at_a_disabled_webhook_is_tried_again(self, account: Account, owner: User) -> None:
        with Receiver(status(500)) as failing:
            webhook = make_webhook(account, failing.url)
            make_missed(account, 1)
            webhook.disable(Webhook.DisabledReason.BY_USER, owner)
            recovery = ask_for(webhook, MISSED, owner)
            for _ in range(12):
                work(recovery.pk)
                Delivery.objects.all().retry_now()
                drain()
        recovery = finish(recovery)
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.end_reason, delivery.attempt_count) == ("DEAD", "EXHAUSTED", 10)
        assert (delivery.priority, recovery.status) == (Delivery.Priority.REPLAY, "DONE")


class TestHealth:
    @pytest.mark.parametrize("code", [500, 404])
    def test_failures_of_replays_are_not_counted(self, account: Account, owner: User, code: int) -> None:
        with Receiver(status(code)) as failing:
            webhook = make_webhook(account, failing.url)
            make_missed(account, 15)
            recovery = ask_for(webhook, MISSED, owner)
            work(recovery.pk)
            drain()
        webhook.refresh_from_db()
        assert (webhook.consecutive_failures, webhook.failing_since, webhook.cooling_until) == (0, None, None)
        assert Attempt.objects.count() == 15

    def test_a_success_of_a_replay_is_no_recovery(
        self, account: Account, listening_webhook: Webhook, owner: User
    ) -> None:
        make_missed(account, 1)
        since = datetime(2026, 11, 1, tzinfo=UTC)
        Webhook.objects.update(consecutive_failures=3, failing_since=since)
        assert finish(ask_for(listening_webhook, MISSED, owner)).standing().arrived == 1
        listening_webhook.refresh_from_db()
        assert (listening_webhook.consecutive_failures, listening_webhook.failing_since) == (3, since)

    def test_asking_for_it_ends_a_rest_and_forgets_no_failure(
        self, account: Account, listening_webhook: Webhook, owner: User
    ) -> None:
        make_missed(account, 15)
        Webhook.objects.update(
            consecutive_failures=12, cooling_until=timezone.now() + timedelta(hours=1), cooling_seconds=3600
        )
        assert finish(ask_for(listening_webhook, MISSED, owner)).standing().arrived == 15
        listening_webhook.refresh_from_db()
        assert (listening_webhook.consecutive_failures, listening_webhook.cooling_seconds) == (12, 3600)

    def test_it_waits_while_the_webhook_rests_again(
        self, account: Account, listening_webhook: Webhook, receiver: Receiver, owner: User
    ) -> None:
        make_missed(account, 3)
        recovery = ask_for(listening_webhook, MISSED, owner)
        work(recovery.pk)
        Webhook.objects.update(cooling_until=timezone.now() + timedelta(minutes=1))
        drain()
        assert receiver.requests == []
        assert recovery.standing().waiting == 3

    def test_a_410_disables_the_webhook_and_ends_it(self, account: Account, owner: User) -> None:
        with Receiver(status(410)) as gone:
            webhook = make_webhook(account, gone.url)
            make_missed(account, 3)
            recovery = ask_for(webhook, MISSED, owner)
            work(recovery.pk)
            drain()
        webhook.refresh_from_db()
        assert webhook.disabled_reason == "GONE"
        recovery = finish(recovery)
        assert (recovery.status, recovery.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")

    def test_a_410_of_a_disabled_webhook_ends_it_too(self, account: Account, owner: User, settings: Settings) -> None:
        settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK = 1
        with Receiver(status(410)) as gone:
            webhook = make_webhook(account, gone.url)
            make_missed(account, 30)
            webhook.disable(Webhook.DisabledReason.BY_USER, owner)
            recovery = ask_for(webhook, MISSED, owner)
            step(recovery.pk)
            Delivery.objects.exclude(pk=Delivery.objects.earliest("pk").pk).update(
                next_attempt_at=timezone.now() + timedelta(minutes=1)
            )
            drain()
            recovery = finish(recovery)
        assert (recovery.status, recovery.end_reason) == ("CANCELLED", "GONE")
        assert recovery.standing() == (0, 1, 29, 0, 0, 0)
        webhook.refresh_from_db()
        assert webhook.disabled_reason == "BY_USER"


class TestSteps:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery_module, "STEP", 2)
        monkeypatch.setattr(recovery_module, "WINDOW", 6)

    @pytest.mark.parametrize("kind", [FAILED, MISSED])
    def test_it_runs_ahead_of_the_engine_so_far_and_no_further(
        self, account: Account, listening_webhook: Webhook, owner: User, kind: str
    ) -> None:
        (make_missed(account, 20) if kind == MISSED else make_dead(listening_webhook, 20))
        recovery = ask_for(listening_webhook, kind, owner)
        assert step(recovery.pk)
        assert Delivery.objects.unfinished().count() == 2
        work(recovery.pk)
        work(recovery.pk)
        assert Delivery.objects.unfinished().count() == 6
        recovery = finish(recovery)
        assert (recovery.status, recovery.replayed) == ("DONE", 20)
        assert recovery.standing().arrived == 20

    def test_both_kinds_of_a_webhook_share_the_window(
        self, account: Account, listening_webhook: Webhook, owner: User
    ) -> None:
        make_dead(listening_webhook, 10)
        make_missed(account, 10)
        for kind in (FAILED, MISSED):
            work(ask_for(listening_webhook, kind, owner).pk)
        assert Delivery.objects.unfinished().count() == 6

    def test_a_worker_that_dies_in_a_step_has_done_nothing(
        self, account: Account, listening_webhook: Webhook, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_missed(account, 3)
        recovery = ask_for(listening_webhook, MISSED, owner)

        def die(self: Recovery, **kwargs: object) -> None:
            raise SystemExit

        with monkeypatch.context() as dying:
            dying.setattr(Recovery, "save", die)
            with pytest.raises(SystemExit), transaction.atomic():
                step(recovery.pk)
        assert not Delivery.objects.exists()
        assert finish(recovery).standing().arrived == 3
        assert ledger().balances

    def test_a_finished_one_takes_no_more_steps(self, listening_webhook: Webhook, owner: User) -> None:
        make_dead(listening_webhook, 1)
        recovery = finish(ask_for(listening_webhook, FAILED, owner))
        Delivery.objects.update(status="DEAD", end_reason="EXHAUSTED")
        assert not step(recovery.pk)
        assert not Delivery.objects.unfinished().exists()


class TestCancelling:
    @pytest.fixture
    def half(self, listening_webhook: Webhook, owner: User, monkeypatch: pytest.MonkeyPatch) -> Recovery:
        """One of 10, of which 4 have arrived and 4 wait."""
        monkeypatch.setattr(recovery_module, "STEP", 4)
        monkeypatch.setattr(recovery_module, "WINDOW", 4)
        make_dead(listening_webhook, 10)
        recovery = ask_for(listening_webhook, FAILED, owner)
        work(recovery.pk)
        drain()
        work(recovery.pk)
        assert recovery.standing().arrived == recovery.standing().waiting == 4
        return recovery

    def test_what_waits_is_cancelled_and_all_adds_up(self, half: Recovery, receiver: Receiver, owner: User) -> None:
        assert cancel(half, owner)
        assert (half.status, half.end_reason, half.cancelled_by) == ("CANCELLED", "BY_USER", owner)
        assert half.finished_at
        assert half.standing() == (4, 0, 4, 0, 2, 0)
        assert sum(half.standing()) == half.total
        assert set(Delivery.objects.filter(status="CANCELLED").values_list("end_reason", flat=True)) == {
            "RECOVERY_ENDED"
        }
        drain()
        assert len(receiver.requests) == 4

    def test_what_it_cancelled_another_one_takes_up(
        self, half: Recovery, listening_webhook: Webhook, owner: User
    ) -> None:
        cancel(half, owner)
        recovery = finish(ask_for(listening_webhook, FAILED, owner))
        assert (recovery.total, recovery.standing().arrived) == (6, 6)

    def test_the_answer_of_what_is_under_way_still_counts(self, half: Recovery, owner: User) -> None:
        lease = timezone.now() + timedelta(minutes=1)
        Delivery.objects.unfinished().update(leased_until=lease)
        cancel(half, owner)
        assert Delivery.objects.filter(status="CANCELLED", leased_until=lease).count() == 4

    def test_it_is_cancelled_once(self, half: Recovery, owner: User, manager: User) -> None:
        cancel(half, owner)
        assert not cancel(half, manager)
        assert half.cancelled_by == owner

    def test_disabling_the_webhook_ends_it(self, half: Recovery, listening_webhook: Webhook, owner: User) -> None:
        listening_webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        half.refresh_from_db()
        assert (half.status, half.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")
        half = finish(half)
        assert half.standing() == (4, 0, 4, 0, 2, 0)

    def test_removing_the_webhook_ends_it(self, half: Recovery, listening_webhook: Webhook, owner: User) -> None:
        listening_webhook.remove(owner)
        half = finish(half)
        assert (half.status, half.end_reason) == ("CANCELLED", "WEBHOOK_REMOVED")
        assert half.standing() == (4, 0, 4, 0, 2, 0)

    def test_saving_a_webhook_that_is_disabled_leaves_it_running(self, listening_webhook: Webhook, owner: User) -> None:
        make_dead(listening_webhook, 1)
        listening_webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        recovery = ask_for(listening_webhook, FAILED, owner)
        listening_webhook.change(
            version=listening_webhook.version,
            name="another name",
            url=listening_webhook.url,
            enabled=False,
            event_types=[],
            rate_limit=None,
            by=owner,
        )
        assert finish(recovery).standing().arrived == 1

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows.")
    @pytest.mark.django_db(transaction=True)
    def test_what_a_worker_writes_to_is_not_waited_for(self, half: Recovery, owner: User) -> None:
        import psycopg

        busy = Delivery.objects.unfinished().earliest("pk")
        settings = connection.get_connection_params()
        settings.pop("cursor_factory", None)
        settings.pop("context", None)
        with psycopg.connect(**settings) as worker:
            worker.execute("SELECT 1 FROM webhooks_delivery WHERE id = %s FOR NO KEY UPDATE", [busy.pk])
            cancel(half, owner)
            assert (half.status, half.finished_at) == ("CANCELLED", None)
            assert half.standing() == (4, 0, 3, 1, 2, 0)
        step(half.pk)
        half.refresh_from_db()
        assert half.finished_at
        assert half.standing() == (4, 0, 4, 0, 2, 0)


def test_a_webhook_has_one_of_a_kind_at_a_time(webhook: Webhook, owner: User) -> None:
    make_dead(webhook, 1)
    ask_for(webhook, FAILED, owner)
    with pytest.raises(AlreadyRunning):
        ask_for(webhook, FAILED, owner)
    ask_for(webhook, MISSED, owner)


@pytest.mark.parametrize(
    "change", [{"status": "DONE"}, {"status": "CANCELLED"}, {"end_reason": "BY_USER"}, {"replayed": 2}, {"kind": "ALL"}]
)
def test_the_database_knows_the_states(webhook: Webhook, owner: User, change: dict[str, str | int]) -> None:
    make_dead(webhook, 1)
    ask_for(webhook, FAILED, owner)
    with pytest.raises(IntegrityError), transaction.atomic():
        Recovery.objects.update(**change)


def test_finished_ones_go_with_age_and_leave_their_deliveries(listening_webhook: Webhook, owner: User) -> None:
    make_dead(listening_webhook, 1)
    recovery = finish(ask_for(listening_webhook, FAILED, owner))
    retention.purge()
    assert Recovery.objects.exists()
    Recovery.objects.update(finished_at=timezone.now() - timedelta(days=31))
    retention.purge()
    assert not Recovery.objects.filter(pk=recovery.pk).exists()
    assert Delivery.objects.get().recovery_id is None
