import pytest
from django.core.checks import run_checks
from pytest_django import Settings


def ids() -> list[str | None]:
    return [message.id for message in run_checks()]


def test_the_defaults_are_in_order() -> None:
    assert ids() == []


@pytest.mark.parametrize("seconds, expected", [(24.9, ["webhooks.E001"]), (25.0, [])])
def test_a_lease_outlasts_the_longest_request(settings: Settings, seconds: float, expected: list[str]) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 10.0
    settings.WEBHOOK_LEASE_SECONDS = seconds
    assert ids() == expected


def test_a_worker_cannot_watch_too_many_requests(settings: Settings) -> None:
    settings.WEBHOOK_IN_FLIGHT = 501
    assert ids() == ["webhooks.E002"]
