"""What an answer means, and when to try again. Pure functions; the table is that of Wink's contract."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.utils.http import parse_http_date_safe

from webhooks.engine.transport import Answer
from webhooks.models import Delivery

SUCCEEDED = Delivery.Status.SUCCEEDED
BUDGET = 10
"""Attempts in all, before a delivery is dead; a redelivery brings a new budget."""
WAITS = [
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
]
"""Between one attempt and the next; the last one goes for all that follow."""
JITTER = 0.1
LONGEST_RETRY_AFTER = timedelta(hours=24)


class Outcome(NamedTuple):
    """The state that an attempt leads to."""

    status: str
    end_reason: str = ""
    next_attempt_at: datetime | None = None

    @property
    def succeeded(self) -> bool:
        return self.status == SUCCEEDED

    @property
    def webhook_is_gone(self) -> bool:
        return self.end_reason == Delivery.EndReason.GONE


SUCCESS = Outcome(SUCCEEDED)


def judge(answer: Answer, tries: int, now: datetime, chance: float) -> Outcome:
    """Say what `answer` to the `tries`-th attempt of the budget means; `chance` from 0 to 1 sets the jitter."""
    status = answer.http_status
    if _is_success(answer):
        return SUCCESS
    if status == 410:
        return Outcome(Delivery.Status.DEAD, Delivery.EndReason.GONE)
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        return Outcome(Delivery.Status.DEAD, Delivery.EndReason.REFUSED)
    if tries >= BUDGET:
        return Outcome(Delivery.Status.DEAD, Delivery.EndReason.EXHAUSTED)
    wait = WAITS[min(tries, len(WAITS)) - 1] * (1 + JITTER * chance)
    return Outcome(Delivery.Status.RETRYING, next_attempt_at=now + max(wait, _retry_after(answer, now)))


def judge_test(answer: Answer) -> Outcome:
    """Say what `answer` to a test event means: it is not sent again, and no 410 switches its webhook off."""
    if _is_success(answer):
        return SUCCESS
    return Outcome(Delivery.Status.DEAD, Delivery.EndReason.TEST_FAILED)


def _is_success(answer: Answer) -> bool:
    return answer.http_status is not None and 200 <= answer.http_status < 300


def _retry_after(answer: Answer, now: datetime) -> timedelta:
    """Return how long the receiver asks to be left alone, 24 h at most; nothing where it does not ask."""
    text = (answer.header("retry-after") or "") if answer.http_status in (429, 503) else ""
    if text.isascii() and text.isdigit():
        # Ten digits are more than any wait, and a length that timedelta can hold.
        asked = timedelta(seconds=int(text.lstrip("0")[:10] or "0"))
    elif (moment := parse_http_date_safe(text)) is not None:
        asked = datetime.fromtimestamp(moment, UTC) - now
    else:
        asked = timedelta()
    return min(max(asked, timedelta()), LONGEST_RETRY_AFTER)
