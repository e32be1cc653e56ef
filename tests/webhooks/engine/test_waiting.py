"""Lines that take turns. Nothing here touches the database."""

from django.utils import timezone

from webhooks.engine.claim import Claim
from webhooks.engine.waiting import Waiting
from winkhooks.uuid7 import uuid7_text

NOW = 100.0


def make_claim(webhook_id: str, priority: int = 0) -> Claim:
    return Claim(uuid7_text(), webhook_id, 1, uuid7_text(), "booking.created", b"{}", priority, 0, 0, timezone.now())


def fill(waiting: Waiting, webhook_id: str, count: int) -> list[Claim]:
    claims = [make_claim(webhook_id) for _ in range(count)]
    for claimed in claims:
        waiting.add(claimed)
    return claims


def send(waiting: Waiting, places: int) -> list[str]:
    """Send as the loop does, and return the webhooks in the order in which their turn came."""
    sent: list[str] = []
    for line in waiting.in_turn(NOW):
        if len(sent) == places:
            break
        claimed = waiting.pop(line)
        waiting.start(claimed.webhook_id)
        sent.append(claimed.webhook_id)
    return sent


def test_webhooks_take_turns() -> None:
    waiting, one, two, three = Waiting(100, 10), uuid7_text(), uuid7_text(), uuid7_text()
    for webhook_id in (one, two, three):
        fill(waiting, webhook_id, 2)
    assert send(waiting, 100) == [one, two, three, one, two, three]
    assert not waiting


def test_a_turn_goes_on_where_the_last_one_found_no_place() -> None:
    waiting, one, two = Waiting(100, 10), uuid7_text(), uuid7_text()
    fill(waiting, one, 5)
    fill(waiting, two, 5)
    assert [send(waiting, 1), send(waiting, 1), send(waiting, 2), send(waiting, 1)] == [[one], [two], [one, two], [one]]


def test_what_waits_for_one_webhook_keeps_its_order() -> None:
    waiting = Waiting(100, 10)
    claims = fill(waiting, uuid7_text(), 3)
    assert [waiting.pop(line) for line in waiting.in_turn(NOW)] == claims


def test_what_comes_goes_before_replays_that_wait() -> None:
    waiting, webhook_id = Waiting(100, 10), uuid7_text()
    claims = [make_claim(webhook_id, priority) for priority in (0, 2, 0, 2, 1)]
    for claimed in claims:
        waiting.add(claimed)
    sent = [waiting.pop(line) for line in waiting.in_turn(NOW)]
    assert sent == [claims[number] for number in (0, 2, 4, 1, 3)]


def test_a_webhook_at_its_cap_is_passed_over_until_something_of_it_ends() -> None:
    waiting, busy, other = Waiting(100, 2), uuid7_text(), uuid7_text()
    fill(waiting, busy, 5)
    fill(waiting, other, 1)
    assert send(waiting, 100) == [busy, other, busy]
    assert send(waiting, 100) == []
    waiting.finish(busy)
    assert send(waiting, 100) == [busy]


def test_webhooks_that_fail_share_half_of_the_places() -> None:
    waiting, failing = Waiting(6, 10), [uuid7_text(), uuid7_text()]
    healthy = uuid7_text()
    for webhook_id in (*failing, healthy):
        fill(waiting, webhook_id, 5)
    for webhook_id in failing:
        waiting.mark(webhook_id, failing=True)
    sent = send(waiting, 100)
    assert sum(webhook_id in failing for webhook_id in sent) == 3
    assert sent.count(healthy) == 5


def test_one_that_is_passed_over_for_a_moment_has_its_turn_then() -> None:
    waiting, webhook_id = Waiting(100, 10), uuid7_text()
    fill(waiting, webhook_id, 1)
    [line] = waiting.in_turn(NOW)
    line.not_before = NOW + 1
    assert list(waiting.in_turn(NOW)) == []
    assert list(waiting.in_turn(NOW + 1)) == [line]


def test_only_what_waits_for_places_counts_as_sendable() -> None:
    waiting, hanging, quick, failing = Waiting(100, 2), uuid7_text(), uuid7_text(), uuid7_text()
    fill(waiting, hanging, 12)
    send(waiting, 2)
    fill(waiting, quick, 5)
    assert waiting.sendable() == 5
    fill(waiting, failing, 7)
    waiting.mark(failing, failing=True)
    assert waiting.sendable() == 7
    assert waiting.taken() == {hanging: 12, quick: 5, failing: 7}


def test_what_is_dropped_does_not_wait_any_more() -> None:
    waiting, one, two = Waiting(100, 10), uuid7_text(), uuid7_text()
    dropped = fill(waiting, one, 2)
    fill(waiting, two, 1)
    assert waiting.drop(lambda claimed: claimed.webhook_id == one) == dropped
    assert send(waiting, 100) == [two]
    assert not waiting
