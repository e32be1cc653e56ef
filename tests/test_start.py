"""The system checks as processes run them at their start."""

import pytest
from django.core.management.base import SystemCheckError
from pytest_django import Settings

from tests.test_settings import load_settings
from tests.webhooks.test_checks import set_up_as_an_installation  # noqa: F401  a fixture that is always used
from winkhooks.start import demand_right_settings

WSGI = "import winkhooks.wsgi; print('started')"
RIGHT = {
    "EMAIL_URL": "smtp://mail.example.com",
    "PORTAL_URL": "https://webhooks.example.com",
}


def test_right_settings_start_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    demand_right_settings()
    assert caplog.text == ""


def test_a_warning_is_logged_with_what_to_do(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.WEBHOOK_REQUIRE_HTTPS = False
    demand_right_settings()
    assert "settings_doubtful" in caplog.text
    assert "webhooks.W004" in caplog.text
    assert "Set it to True." in caplog.text


def test_a_warning_that_is_wanted_is_not_logged(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.WEBHOOK_REQUIRE_HTTPS = False
    settings.SILENCED_SYSTEM_CHECKS = ["webhooks.W004"]
    demand_right_settings()
    assert caplog.text == ""


def test_an_error_is_raised_with_its_id(settings: Settings) -> None:
    settings.SECRET_KEY = settings.SECRET_KEY_FOR_DEBUGGING
    with pytest.raises(SystemCheckError, match=r"webhooks\.E003"):
        demand_right_settings()


def test_the_web_does_not_start_with_the_key_for_debugging() -> None:
    loaded = load_settings(WSGI, SECRET_KEY="insecure-key-for-debugging-only", **RIGHT)
    assert loaded.returncode == 1
    assert loaded.stdout == ""
    assert "(webhooks.E003) SECRET_KEY is the one for debugging" in loaded.stderr


def test_the_web_starts_and_logs_what_is_open() -> None:
    loaded = load_settings(WSGI, WEBHOOK_ALLOWED_NETWORKS="10.0.0.0/8", **RIGHT)
    assert (loaded.returncode, loaded.stdout) == (0, "started\n")
    [line] = [line for line in loaded.stderr.splitlines() if "settings_doubtful" in line]
    assert '"check": "webhooks.W005"' in line
    assert "WEBHOOK_ALLOWED_NETWORKS opens 10.0.0.0/8" in line
