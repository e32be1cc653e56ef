from typing import Any

import pytest
from django.utils import translation
from django.utils.functional import Promise

from webhooks.diagnosis import (
    MEANING_BY_CLASS,
    MEANING_BY_ERROR,
    MEANING_BY_PROXY_TEXT,
    MEANING_BY_STATUS,
    MEANING_BY_TLS_TEXT,
    MEANING_OF_TOO_MANY_HEADERS,
    UNKNOWN_STATUS,
    duration_text,
    meaning_of,
    phases_of,
    title_of,
)
from webhooks.engine.transport import TOO_MANY_HEADERS
from webhooks.models import Attempt


def attempt(**fields: Any) -> Attempt:
    return Attempt(**{"duration_ms": 1000, "http_status": None} | fields)


@pytest.mark.parametrize("error", Attempt.Error)
def test_each_error_has_a_meaning(error: Attempt.Error) -> None:
    assert meaning_of(attempt(error=error)) == MEANING_BY_ERROR[error]
    assert title_of(attempt(error=error)) == str(error.label)


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 405, 408, 410, 413, 415, 422, 429, 500, 502, 503, 504])
def test_common_statuses_have_one_of_their_own(status: int) -> None:
    assert meaning_of(attempt(http_status=status)) == MEANING_BY_STATUS[status]


@pytest.mark.parametrize("status", [200, 204, 299, 304, 399, 418, 499, 501, 599])
def test_others_have_that_of_their_class(status: int) -> None:
    assert meaning_of(attempt(http_status=status)) == MEANING_BY_CLASS[status // 100]


@pytest.mark.parametrize("status", [100, 600, 999])
def test_one_that_is_of_no_class_is_said_to_be_unknown(status: int) -> None:
    assert meaning_of(attempt(http_status=status)) == UNKNOWN_STATUS


@pytest.mark.parametrize(
    "status, title", [(204, "204 No Content"), (503, "503 Service Unavailable"), (520, "520"), (999, "999")]
)
def test_a_status_has_its_name(status: int, title: str) -> None:
    assert title_of(attempt(http_status=status)) == title


@pytest.mark.parametrize(
    "phases, beginning",
    [
        ({"lookup_ms": 1000}, "The name of the host was not looked up in time."),
        ({"lookup_ms": 1, "connect_ms": 999}, "There was no connection in time."),
        ({"lookup_ms": 1, "connect_ms": 1, "tls_ms": 998}, "There was a connection, but it was not secured in time."),
        ({"wait_ms": 1000}, "The whole answer was not here in time."),
        ({"lookup_ms": 1, "connect_ms": 1, "wait_ms": 998}, "The whole answer was not here in time."),
        ({}, "The whole answer was not here in time."),
    ],
)
def test_a_time_out_says_what_was_waited_for(phases: dict[str, int], beginning: str) -> None:
    assert str(meaning_of(attempt(error="TIMEOUT", **phases))).startswith(beginning)


@pytest.mark.parametrize("said", TOO_MANY_HEADERS)
def test_too_many_headers_are_called_that(said: str) -> None:
    dropped = attempt(error="PROTOCOL", error_text=said)
    assert title_of(dropped) == "The answer had too many headers"
    assert meaning_of(dropped) == MEANING_OF_TOO_MANY_HEADERS


@pytest.mark.parametrize("said, meaning", MEANING_BY_TLS_TEXT.items())
def test_what_is_wrong_with_tls_is_told(said: str, meaning: Promise) -> None:
    for error in ("TLS", "RESET"):
        assert meaning_of(attempt(error=error, error_text=f"libcurl said: {said.upper()} (1)")) == meaning
    assert meaning_of(attempt(error="PROTOCOL", error_text=said)) == MEANING_BY_ERROR["PROTOCOL"]


def test_all_of_it_is_in_finnish_too() -> None:
    meanings = {*MEANING_BY_ERROR.values(), *MEANING_BY_STATUS.values(), *MEANING_BY_CLASS.values(), UNKNOWN_STATUS}
    meanings |= {*MEANING_BY_TLS_TEXT.values(), *MEANING_BY_PROXY_TEXT.values(), MEANING_OF_TOO_MANY_HEADERS}
    english = [str(meaning) for meaning in meanings]
    with translation.override("fi"):
        assert not {str(meaning) for meaning in meanings} & set(english)


class TestPhases:
    def test_they_fill_the_duration(self) -> None:
        phases = phases_of(attempt(http_status=200, lookup_ms=100, connect_ms=50, tls_ms=150, wait_ms=600))
        assert [(phase.name, phase.start, phase.width) for phase in phases] == [
            ("lookup", 0, 100),
            ("connect", 100, 50),
            ("tls", 150, 150),
            ("wait", 300, 600),
            ("rest", 900, 100),
        ]
        assert [phase.duration for phase in phases] == ["100 ms", "50 ms", "150 ms", "600 ms", "100 ms"]

    def test_over_a_kept_connection_there_is_only_the_answer(self) -> None:
        phases = phases_of(attempt(http_status=200, wait_ms=990))
        assert [phase.name for phase in phases] == ["wait", "rest"]

    def test_without_an_answer_there_is_no_rest_of_it(self) -> None:
        phases = phases_of(attempt(error="TIMEOUT", lookup_ms=0, connect_ms=1, wait_ms=999))
        assert [phase.name for phase in phases] == ["lookup", "connect", "wait"]

    def test_what_broke_within_the_answer_has_the_rest(self) -> None:
        phases = phases_of(attempt(error="RESET", wait_ms=400))
        assert [(phase.name, phase.width) for phase in phases] == [("wait", 400), ("rest", 600)]

    def test_nothing_is_known_of_older_attempts(self) -> None:
        assert phases_of(attempt(http_status=200)) == []

    def test_an_attempt_that_took_no_time_has_no_width(self) -> None:
        phases = phases_of(attempt(http_status=200, duration_ms=0, wait_ms=0))
        assert [(phase.width, phase.duration) for phase in phases] == [(0, "< 1 ms"), (0, "< 1 ms")]


@pytest.mark.parametrize(
    "milliseconds, english, finnish",
    [(0, "< 1 ms", "alle 1 ms"), (999, "999 ms", "999 ms"), (1000, "1.0 s", "1,0 s"), (10049, "10.0 s", "10,0 s")],
)
def test_a_duration_is_short(milliseconds: int, english: str, finnish: str) -> None:
    assert duration_text(milliseconds) == english
    with translation.override("fi"):
        assert duration_text(milliseconds) == finnish
