"""Retry-After: a receiver cannot hurry the next attempt, nor put it off for longer than a day."""

from datetime import UTC, datetime, timedelta

from webhooks.engine.outcome import BUDGET, JITTER, LONGEST_RETRY_AFTER, WAITS, judge
from webhooks.engine.transport import Answer
from webhooks.models import Delivery

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
STATUSES = (429, 503, 500, 200, 410, 404)


def fuzz(data: bytes) -> None:
    choice, text = data[:3].ljust(3, b"\0"), data[3:].decode("latin-1").strip()
    status = STATUSES[choice[0] % len(STATUSES)]
    tries = choice[1] % BUDGET + 1
    chance = choice[2] / 255
    asking, silent = (
        judge(Answer(NOW, 1, http_status=status, headers=headers), tries, NOW, chance)
        for headers in ([("Retry-After", text)], [])
    )
    assert (asking.status, asking.end_reason) == (silent.status, silent.end_reason)
    assert (asking.next_attempt_at is None) == (asking.status != Delivery.Status.RETRYING)
    if asking.next_attempt_at is None or silent.next_attempt_at is None:
        return
    wait = asking.next_attempt_at - NOW
    own_wait = silent.next_attempt_at - NOW
    shortest = WAITS[min(tries, len(WAITS)) - 1]
    assert shortest <= own_wait <= shortest * (1 + JITTER)
    assert own_wait <= wait <= max(own_wait, LONGEST_RETRY_AFTER)
    if status not in (429, 503):
        assert wait == own_wait
    elif text.isascii() and text.isdigit():
        # A number of any length is understood.
        significant = text.lstrip("0") or "0"
        asked = int(significant) if len(significant) <= 5 else 86400
        assert wait == max(own_wait, timedelta(seconds=min(asked, 86400)))
    elif not any(character.isdigit() for character in text):
        assert wait == own_wait
