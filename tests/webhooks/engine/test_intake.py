from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Account
from tests.webhooks.conftest import announce, make_webhook
from webhooks import wake
from webhooks.engine import dispatch as dispatch_module
from webhooks.engine import intake as intake_module
from webhooks.engine.dispatch import dispatch
from webhooks.engine.intake import Intake
from webhooks.models import Delivery, Event, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    rung: list[bool] = []
    monkeypatch.setattr(wake, "ring_soon", lambda: rung.append(True))
    return rung


def test_new_events_fill_the_room(account: Account, webhook: Webhook, rung: list[bool]) -> None:
    announced = announce(account, count=5)
    intake = Intake(room_per_webhook=10)
    claims = intake.take(Counter(), 3, is_idle=True)
    assert [claimed.event_id for claimed in claims] == [str(event.id) for event in announced[:3]]
    assert Delivery.objects.filter(leased_until__isnull=False).count() == 3
    # The others are left to other workers, who are called, or to the next time.
    assert Event.objects.filter(status="NEW").count() == 2
    assert rung
    assert intake.more_is_due
    assert len(intake.take(Counter(), 3, is_idle=True)) == 2


def test_no_webhook_gets_more_than_its_own_room(account: Account, webhook: Webhook) -> None:
    announce(account, count=5)
    assert len(Intake(room_per_webhook=4).take(Counter({str(webhook.pk): 1}), 100, is_idle=True)) == 3
    # Nobody holds the others; whoever has room for them takes them.
    assert Delivery.objects.filter(leased_until=None).count() == 2
    assert len(Intake(room_per_webhook=4).take(Counter(), 100, is_idle=True)) == 2


def test_what_is_older_goes_before_what_is_new(
    account: Account, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "LOOK_SECONDS", 0.0)
    old = announce(account, count=4)
    dispatch()
    intake = Intake(room_per_webhook=10)
    assert len(intake.take(Counter(), 2, is_idle=True)) == 2
    new = announce(account, count=2)
    claims = intake.take(Counter({str(webhook.pk): 2}), 4, is_idle=True)
    assert [claimed.event_id for claimed in claims] == [str(event.id) for event in (*old[2:], *new)]


def test_a_retry_is_found_while_new_events_keep_the_worker_busy(
    account: Account, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "OLDER_SECONDS", 0.0)
    [event] = announce(account)
    dispatch()
    Delivery.objects.update(status="RETRYING", priority=1, next_attempt_at=timezone.now() - timedelta(seconds=1))
    announce(account, count=5)
    taken = Intake(room_per_webhook=10).take(Counter(), 10, is_idle=False)
    assert str(event.id) in {claimed.event_id for claimed in taken}


def test_nothing_due_is_nothing_to_look_for_again(account: Account, webhook: Webhook) -> None:
    intake = Intake(room_per_webhook=10)
    assert intake.take(Counter(), 10, is_idle=True) == []
    assert not intake.more_is_due


def test_large_bodies_are_taken_a_few_at_a_time(
    account: Account, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = announce(account, count=6)
    monkeypatch.setattr(intake_module, "MOST_BYTES", 4 * intake_module.FIRST_BODY_BYTES)
    intake = Intake(room_per_webhook=100)
    assert len(intake.take(Counter(), 100, is_idle=True)) == 4
    monkeypatch.setattr(intake_module, "MOST_BYTES", len(announced[0].body))
    assert len(intake.take(Counter(), 100, is_idle=True)) == 1


def test_one_transaction_makes_no_more_deliveries_than_it_should(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch_module, "MOST_DELIVERIES", 4)
    for number in range(3):
        make_webhook(account, f"https://{number}.example/")
    announce(account, count=3)
    dispatched = dispatch()
    assert (dispatched.events, dispatched.more_is_new) == (2, True)
    assert Delivery.objects.count() == 6
    assert Event.objects.filter(status="NEW").count() == 1
    assert dispatch().events == 1
