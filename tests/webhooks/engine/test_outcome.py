from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.engine.outcome import BUDGET, Outcome, judge, judge_test
from webhooks.engine.transport import Answer
from webhooks.models import Attempt, Delivery

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RETRIED = [500, 502, 503, 504, 599, 408, 429, 300, 301, 302, 303, 304, 307, 308]
REFUSED = [400, 401, 403, 404, 405, 409, 411, 418, 422, 451, 499]


def answer(status: int | None = None, retry_after: str | None = None) -> Answer:
    headers = [] if retry_after is None else [("Retry-After", retry_after)]
    return Answer(NOW, 5, http_status=status, error="" if status else Attempt.Error.TIMEOUT, headers=headers)


def wait(given_answer: Answer, tries: int = 1, chance: float = 0) -> timedelta:
    outcome = judge(given_answer, tries, NOW, chance)
    assert outcome.status == Delivery.Status.RETRYING
    assert outcome.next_attempt_at is not None
    return outcome.next_attempt_at - NOW


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226, 299])
def test_any_2xx_succeeds(status: int) -> None:
    assert judge(answer(status), 1, NOW, 0) == Outcome(Delivery.Status.SUCCEEDED)


@pytest.mark.parametrize("status", RETRIED)
def test_it_tries_again(status: int) -> None:
    assert wait(answer(status)) == MINUTE


def test_it_tries_again_without_an_answer() -> None:
    assert wait(answer(None)) == MINUTE


@pytest.mark.parametrize("status", REFUSED)
def test_other_4xx_end_at_once(status: int) -> None:
    assert judge(answer(status), 1, NOW, 0) == Outcome(Delivery.Status.DEAD, Delivery.EndReason.REFUSED)


def test_410_ends_at_once_and_says_that_the_webhook_is_gone() -> None:
    outcome = judge(answer(410), 1, NOW, 0)
    assert outcome == Outcome(Delivery.Status.DEAD, Delivery.EndReason.GONE)
    assert outcome.webhook_is_gone


@pytest.mark.parametrize(
    "tries, expected",
    list(
        enumerate([MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 24 * HOUR, 24 * HOUR], 1)
    ),
)
def test_the_waits_grow_as_the_contract_says(tries: int, expected: timedelta) -> None:
    assert wait(answer(500), tries) == expected


def test_the_tenth_attempt_is_the_last() -> None:
    assert judge(answer(500), BUDGET, NOW, 0) == Outcome(Delivery.Status.DEAD, Delivery.EndReason.EXHAUSTED)


@given(tries=st.integers(1, 9), chance=st.floats(0, 1), status=st.sampled_from([None, *RETRIED]))
def test_the_jitter_adds_at_most_a_tenth(tries: int, chance: float, status: int | None) -> None:
    plain = wait(answer(status), tries)
    assert plain <= wait(answer(status), tries, chance) <= plain * 1.1 + timedelta(microseconds=1)


@given(first=st.integers(1, 8), chance=st.floats(0, 1))
def test_no_later_wait_is_shorter_than_an_earlier_one_without_jitter(first: int, chance: float) -> None:
    assert wait(answer(500), first) <= wait(answer(500), first + 1, chance)


@pytest.mark.parametrize("status", [429, 503])
class TestRetryAfter:
    @pytest.mark.parametrize("text", ["3600", "0" * 20 + "3600"])
    def test_seconds_postpone(self, status: int, text: str) -> None:
        assert wait(answer(status, text)) == HOUR

    def test_a_date_postpones(self, status: int) -> None:
        assert wait(answer(status, format_datetime(NOW + 2 * HOUR, usegmt=True))) == 2 * HOUR

    @pytest.mark.parametrize(
        "text",
        ["0", "5", "-5", "", "soon", "1.5", "٣", "Mon, 32 Nov 2026 09:30:00 GMT", "Tue, 24 Nov 2026 08:30:00 GMT"],
    )
    def test_what_is_short_past_or_nonsense_changes_nothing(self, status: int, text: str) -> None:
        assert wait(answer(status, text)) == MINUTE

    @pytest.mark.parametrize("text", ["999999", "9" * 400, "Fri, 24 Nov 2028 09:30:00 GMT"])
    def test_it_postpones_by_a_day_at_most(self, status: int, text: str) -> None:
        assert wait(answer(status, text)) == 24 * HOUR

    def test_it_does_not_bring_the_next_attempt_forward(self, status: int) -> None:
        assert wait(answer(status, "60"), tries=3) == 30 * MINUTE

    @given(text=st.text(max_size=40), tries=st.integers(1, 9), chance=st.floats(0, 1))
    def test_no_text_breaks_it(self, status: int, text: str, tries: int, chance: float) -> None:
        assert timedelta() < wait(answer(status, text), tries, chance) <= 24 * HOUR * 1.1


@pytest.mark.parametrize("status", [500, 408, 302])
def test_other_answers_cannot_postpone(status: int) -> None:
    assert wait(answer(status, "3600")) == MINUTE


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_test_event_succeeds_as_others_do(status: int) -> None:
    assert judge_test(answer(status)) == Outcome(Delivery.Status.SUCCEEDED)


@pytest.mark.parametrize("status", [None, 100, 302, 404, 410, 429, 500, 503])
def test_a_test_event_that_fails_is_over(status: int | None) -> None:
    outcome = judge_test(answer(status))
    assert outcome == Outcome(Delivery.Status.DEAD, Delivery.EndReason.TEST_FAILED)
    assert not outcome.webhook_is_gone
