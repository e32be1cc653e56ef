from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from time_machine import TimeMachineFixture

from accounts.models import Account
from tests.receivers import Receiver, status
from tests.webhooks.conftest import announce, make_webhook
from webhooks import health
from webhooks.engine import ration
from webhooks.engine.claim import claim
from webhooks.engine.dispatch import dispatch
from webhooks.engine.drain import drain
from webhooks.engine.ration import Rations, claim_rationed
from webhooks.models import Attempt, Delivery, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture
def frozen(time_machine: TimeMachineFixture) -> TimeMachineFixture:
    time_machine.move_to(START, tick=False)
    return time_machine


def take(taken: dict[str, int] | None = None, room: int = 100, limit: int = 100) -> Rations:
    return claim_rationed(taken or {}, room, limit)


def ids_in_order() -> list[str]:
    return [str(pk) for pk in Delivery.objects.order_by("pk").values_list("pk", flat=True)]


def make_due(account: Account, count: int) -> None:
    announce(account, count=count)
    while dispatch().events:
        pass


class TestLimit:
    @pytest.fixture
    def limited(self, webhook: Webhook) -> Webhook:
        Webhook.objects.update(rate_limit=50)
        return webhook

    def test_no_more_goes_at_once_than_a_tenth_of_a_second_allows(
        self, account: Account, limited: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 20)
        rations = take()
        assert len(rations.claims) == 5
        assert rations.more_follows
        assert take().claims == []

    def test_a_second_brings_what_the_limit_says(
        self, account: Account, limited: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 200)
        count = len(take().claims)
        for _ in range(50):
            frozen.shift(0.02)
            count += len(take().claims)
        assert 50 <= count <= 55

    def test_a_limit_of_one_lets_one_go_each_second(
        self, account: Account, limited: Webhook, frozen: TimeMachineFixture
    ) -> None:
        Webhook.objects.update(rate_limit=1)
        make_due(account, 5)
        counts = []
        for _ in range(4):
            counts.append(len(take().claims))
            frozen.shift(0.5)
        assert counts == [1, 0, 1, 0]

    def test_a_clock_that_goes_back_gives_nothing_away(
        self, account: Account, limited: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 20)
        Delivery.objects.update(next_attempt_at=START - timedelta(hours=2))
        take()
        frozen.shift(-3600)
        assert take().claims == []

    def test_replays_leave_room(self, account: Account, limited: Webhook) -> None:
        Webhook.objects.update(rate_limit=1000)
        make_due(account, 30)
        Delivery.objects.update(priority=Delivery.Priority.REPLAY)
        assert len(take(room=100).claims) == 20

    def test_claims_of_others_leave_it_alone(self, account: Account, limited: Webhook) -> None:
        make_due(account, 3)
        assert claim({}, 100, 100) == []

    def test_nothing_follows_where_nothing_waits(self, account: Account, limited: Webhook) -> None:
        make_due(account, 2)
        assert not take().more_follows

    def test_room_and_limit_hold_too(self, account: Account, limited: Webhook) -> None:
        make_due(account, 5)
        assert len(take({str(limited.id): 9}, room=10).claims) == 1
        assert len(take(limit=2).claims) == 2

    def test_asking_many_ends_soon(self, account: Account, limited: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(4):
            make_webhook(account, f"https://{number}.example/")
        Webhook.objects.update(rate_limit=50)
        make_due(account, 1)
        monkeypatch.setattr(ration, "LONGEST_SECONDS", -1)
        rations = take()
        assert (len(rations.claims), rations.more_follows) == (1, True)
        monkeypatch.setattr(ration, "LONGEST_SECONDS", 10)
        assert len(take().claims) == 4

    def test_all_arrive_in_the_time_that_the_limit_takes(
        self, account: Account, receiver: Receiver, loopback_allowed: None
    ) -> None:
        make_webhook(account, receiver.url)
        Webhook.objects.update(rate_limit=20)
        announce(account, count=20)
        drain()
        times = [request.at for request in receiver.requests]
        assert len(times) == 20
        assert max(times) - min(times) >= 0.85
        assert Attempt.objects.count() == 20


class TestCoolingDown:
    @pytest.fixture
    def failing(self, webhook: Webhook, frozen: TimeMachineFixture) -> Webhook:
        health.note((str(webhook.id), False) for _ in range(10))
        webhook.refresh_from_db()
        return webhook

    def rest_of(self, webhook: Webhook) -> timedelta | None:
        webhook.refresh_from_db()
        return webhook.cooling_until - datetime.now(UTC) if webhook.cooling_until else None

    def test_a_replay_is_no_probe_while_anything_else_is_due(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 3)
        oldest, *others = ids_in_order()
        Delivery.objects.filter(pk=oldest).update(priority=Delivery.Priority.REPLAY)
        frozen.shift(timedelta(seconds=61))
        assert [claimed.delivery_id for claimed in take().claims] == others[:1]

    def test_where_only_replays_are_due_one_goes_at_a_time(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 3)
        Delivery.objects.update(priority=Delivery.Priority.REPLAY)
        assert take().claims == []
        frozen.shift(timedelta(seconds=61))
        assert len(take().claims) == 1
        assert take().claims == []

    def test_nine_failures_are_not_enough(self, webhook: Webhook) -> None:
        health.note((str(webhook.id), False) for _ in range(9))
        assert self.rest_of(webhook) is None

    def test_ten_failures_in_a_row_bring_a_minute_of_rest(self, failing: Webhook) -> None:
        assert self.rest_of(failing) == timedelta(minutes=1)

    def test_nothing_is_claimed_within_the_rest(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 3)
        frozen.shift(59)
        assert take().claims == []
        assert claim({}, 100, 100) == []
        assert set(Delivery.objects.values_list("attempt_count", "status")) == {(0, "PENDING")}

    def test_then_one_probe_goes_and_no_other_while_it_is_under_way(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 3)
        frozen.shift(61)
        rations = take()
        assert len(rations.claims) == 1
        assert not rations.more_follows
        assert take().claims == []

    def test_those_whose_probes_are_under_way_cost_nothing(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ration, "LONGEST_SECONDS", 10)
        for number in range(20):
            other = make_webhook(account, f"https://{number}.example/")
            health.note((str(other.pk), False) for _ in range(10))
        make_due(account, 3)
        frozen.shift(61)
        taken = Counter(claimed.webhook_id for claimed in take().claims)
        assert taken == {str(pk): 1 for pk in Webhook.objects.values_list("pk", flat=True)}
        with CaptureQueriesContext(connection) as asked:
            assert take(taken) == Rations()
        assert len(asked) == 1
        # One that has an outcome again is asked, whatever the others do.
        Delivery.objects.filter(webhook=failing, leased_until__isnull=False).update(leased_until=None)
        del taken[str(failing.pk)]
        assert [claimed.webhook_id for claimed in take(taken).claims] == [str(failing.pk)]

    def test_without_probes_only_limits_are_asked_about(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        limited = make_webhook(account, "https://limited.example/")
        Webhook.objects.filter(pk=limited.pk).update(rate_limit=10)
        make_due(account, 3)
        frozen.shift(61)
        claims = claim_rationed({}, 100, 100, with_probes=False).claims
        assert [claimed.webhook_id for claimed in claims] == [str(limited.pk)]
        assert [claimed.webhook_id for claimed in take().claims] == [str(failing.pk)]

    def test_the_probe_is_the_oldest_delivery_even_if_it_was_tried_before(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 3)
        oldest = Delivery.objects.earliest("pk")
        Delivery.objects.filter(pk=oldest.pk).update(status="RETRYING", priority=Delivery.Priority.RETRY)
        frozen.shift(61)
        assert [claimed.delivery_id for claimed in take().claims] == [str(oldest.pk)]

    def test_a_probe_that_fails_doubles_the_rest_up_to_an_hour(
        self, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        rests = []
        for _ in range(8):
            frozen.shift(timedelta(hours=1))
            health.note([(str(failing.id), False)])
            rests.append(self.rest_of(failing))
        minutes = [2, 4, 8, 16, 32, 60, 60, 60]
        assert rests == [timedelta(minutes=each) for each in minutes]

    def test_failures_of_what_was_under_way_do_not_make_the_rest_longer(
        self, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        frozen.shift(5)
        health.note((str(failing.id), False) for _ in range(10))
        assert self.rest_of(failing) == timedelta(seconds=55)

    def test_a_success_ends_it(self, account: Account, failing: Webhook) -> None:
        health.note([(str(failing.id), True)])
        assert self.rest_of(failing) is None
        assert failing.cooling_seconds == 0
        make_due(account, 3)
        assert len(claim({}, 100, 100)) == 3

    def test_whoever_asks_for_a_retry_gets_one_at_once(self, account: Account, failing: Webhook) -> None:
        make_due(account, 3)
        Delivery.objects.all().retry_now()
        assert len(take().claims) == 1

    @pytest.mark.parametrize("rested", [1, 61])
    def test_what_somebody_retries_by_hand_is_the_probe_and_the_only_one(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture, rested: int
    ) -> None:
        make_due(account, 3)
        oldest, chosen, _ = ids_in_order()
        frozen.shift(rested)
        Delivery.objects.filter(pk=chosen).retry_now()
        frozen.shift(1)
        assert [claimed.delivery_id for claimed in take().claims] == [chosen]
        assert take().claims == []
        # It failed: the oldest is the next probe, after a longer rest.
        health.note([(str(failing.pk), False)])
        Delivery.objects.filter(pk=chosen).update(leased_until=None, next_attempt_at=START + timedelta(hours=1))
        assert self.rest_of(failing) == timedelta(minutes=2)
        assert take().claims == []
        frozen.shift(timedelta(minutes=2, seconds=1))
        assert [claimed.delivery_id for claimed in take().claims] == [oldest]

    def test_what_somebody_redelivers_is_the_probe(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 3)
        chosen = str(Delivery.objects.latest("pk").pk)
        ended = Delivery.objects.filter(pk=chosen)
        ended.update(status="DEAD", next_attempt_at=None, finished_at=START)
        frozen.shift(1)
        ended.redeliver()
        assert [claimed.delivery_id for claimed in take().claims] == [chosen]

    def test_a_replay_that_somebody_retries_goes_behind_the_others_all_the_same(
        self, account: Account, failing: Webhook, frozen: TimeMachineFixture
    ) -> None:
        make_due(account, 2)
        oldest, replay = ids_in_order()
        Delivery.objects.filter(pk=replay).update(priority=Delivery.Priority.REPLAY)
        frozen.shift(1)
        Delivery.objects.filter(pk=replay).retry_now()
        assert [claimed.delivery_id for claimed in take().claims] == [oldest]


def test_after_ten_failures_a_receiver_is_left_alone(account: Account, loopback_allowed: None) -> None:
    with Receiver(status(500)) as receiver:
        make_webhook(account, receiver.url)
        announce(account, count=40)
        drain()
        # When the tenth failure is written, as many again may be under way.
        assert 10 <= len(receiver.requests) <= 20
        untouched = Delivery.objects.filter(status="PENDING", attempt_count=0)
        assert untouched.count() == 40 - len(receiver.requests)
    webhook = Webhook.objects.get()
    assert webhook.cooling_until is not None
