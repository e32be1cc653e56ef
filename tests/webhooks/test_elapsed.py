from datetime import UTC, datetime, timedelta

import pytest
from django.utils import translation
from time_machine import TimeMachineFixture

from webhooks.templatetags.elapsed import elapsed

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "seconds, english, finnish",
    [
        (-5, "0 s", "0 s"),
        (59, "59 s", "59 s"),
        (60, "1 min 0 s", "1 min 0 s"),
        (3599, "59 min 59 s", "59 min 59 s"),
        (3600, "1 h 0 min", "1 t 0 min"),
        (26 * 3600 + 65, "1 d 2 h", "1 vrk 2 t"),
    ],
)
def test_it_shows_the_two_largest_units(
    seconds: int, english: str, finnish: str, time_machine: TimeMachineFixture
) -> None:
    time_machine.move_to(NOW, tick=False)
    moment = NOW - timedelta(seconds=seconds)
    assert elapsed(moment) == english
    with translation.override("fi"):
        assert elapsed(moment) == finnish
