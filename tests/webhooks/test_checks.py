import pytest
from django.core.checks import run_checks
from pytest_django import Settings


@pytest.fixture(autouse=True)
def sends_emails(settings: Settings) -> None:
    settings.EMAIL_URL = "smtp://mail.example.com"
    settings.PORTAL_URL = "https://webhooks.example.com"


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


def test_emails_that_reach_nobody_are_a_warning(settings: Settings) -> None:
    settings.EMAIL_URL = ""
    assert ids() == ["webhooks.W001"]
    # Who asks for that by name knows it.
    settings.EMAIL_URL = "consolemail://"
    assert ids() == []


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_links_to_the_readers_own_machine_are_a_warning(settings: Settings, host: str) -> None:
    settings.PORTAL_URL = f"http://{host}"
    assert ids() == ["webhooks.W002"]


def test_debugging_warns_of_no_emails(settings: Settings) -> None:
    settings.DEBUG = True
    settings.EMAIL_URL = ""
    settings.PORTAL_URL = "http://localhost:8000"
    assert ids() == []
