import ipaddress

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from webhooks.checks import check_sqlite_has_one_writer


@pytest.fixture(autouse=True)
def set_up_as_an_installation(settings: Settings) -> None:
    settings.SECRET_KEY = "of-this-installation-alone"
    settings.WEBHOOK_SECRET_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    settings.PORTAL_URL = "https://webhooks.example.com"
    settings.STAFF_REQUIRES_MFA = True


def ids() -> list[str]:
    return sorted(str(message.id) for message in run_checks())


def test_the_defaults_are_in_order() -> None:
    assert ids() == []


def test_every_message_says_what_to_do(settings: Settings) -> None:
    make_everything_wrong(settings)
    messages = run_checks()
    assert len(messages) == 9
    for message in messages:
        assert message.msg.endswith(".")
        assert message.hint


def make_everything_wrong(settings: Settings) -> None:
    settings.SECRET_KEY = settings.SECRET_KEY_FOR_DEBUGGING
    settings.WEBHOOK_SECRET_KEYS = [settings.WEBHOOK_SECRET_KEY_FOR_DEBUGGING]
    settings.EMAIL_BACKEND = "winkhooks.emails.ConsoleBackend"
    settings.PORTAL_URL = "http://localhost:8000"
    settings.WEBHOOK_REQUIRE_HTTPS = False
    settings.WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("10.0.0.0/8")]
    settings.STAFF_REQUIRES_MFA = False
    settings.WEBHOOK_LEASE_SECONDS = 1.0
    settings.WEBHOOK_IN_FLIGHT = 501


def test_debugging_may_be_insecure(settings: Settings) -> None:
    make_everything_wrong(settings)
    settings.DEBUG = True
    assert ids() == ["webhooks.E001", "webhooks.E002"]


@pytest.mark.parametrize("seconds, expected", [(24.9, ["webhooks.E001"]), (25.0, [])])
def test_a_lease_outlasts_the_longest_request(settings: Settings, seconds: float, expected: list[str]) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 10.0
    settings.WEBHOOK_LEASE_SECONDS = seconds
    assert ids() == expected


def test_a_worker_cannot_watch_too_many_requests(settings: Settings) -> None:
    settings.WEBHOOK_IN_FLIGHT = 501
    assert ids() == ["webhooks.E002"]


def test_the_key_for_debugging_signs_nothing_else(settings: Settings) -> None:
    settings.SECRET_KEY = settings.SECRET_KEY_FOR_DEBUGGING
    assert ids() == ["webhooks.E003"]


def test_the_key_for_debugging_encrypts_nothing_else(settings: Settings) -> None:
    settings.WEBHOOK_SECRET_KEYS = [*settings.WEBHOOK_SECRET_KEYS, settings.WEBHOOK_SECRET_KEY_FOR_DEBUGGING]
    assert ids() == ["webhooks.E004"]


@pytest.mark.parametrize(
    "backend, expected",
    [
        ("winkhooks.emails.ConsoleBackend", ["webhooks.W001"]),
        ("django.core.mail.backends.smtp.EmailBackend", []),
        ("django.core.mail.backends.filebased.EmailBackend", []),
    ],
)
def test_emails_that_reach_nobody_are_a_warning(settings: Settings, backend: str, expected: list[str]) -> None:
    settings.EMAIL_BACKEND = backend
    assert ids() == expected


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_links_to_the_readers_own_machine_are_a_warning(settings: Settings, host: str) -> None:
    settings.PORTAL_URL = f"https://{host}"
    assert ids() == ["webhooks.W002"]


def test_links_that_all_can_read_are_a_warning(settings: Settings) -> None:
    settings.PORTAL_URL = "http://webhooks.example.com"
    assert ids() == ["webhooks.W003"]


def test_plain_http_is_a_warning(settings: Settings) -> None:
    settings.WEBHOOK_REQUIRE_HTTPS = False
    assert ids() == ["webhooks.W004"]


def test_an_open_guard_is_a_warning_that_shows_what_is_open(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")]
    [message] = run_checks()
    assert message.id == "webhooks.W005"
    assert "opens 10.1.0.0/16, fd00:1::/32:" in message.msg


def test_staff_without_a_second_factor_is_a_warning(settings: Settings) -> None:
    settings.STAFF_REQUIRES_MFA = False
    assert ids() == ["webhooks.W006"]


@pytest.mark.parametrize(
    "engine, processes, expected",
    [("sqlite3", 2, ["webhooks.W007"]), ("sqlite3", 1, []), ("postgresql", 2, [])],
)
def test_several_processes_on_sqlite_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, engine: str, processes: int, expected: list[str]
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", f"django.db.backends.{engine}")
    assert [message.id for message in check_sqlite_has_one_writer(processes)] == expected
