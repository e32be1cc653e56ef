import sys

import pytest
from pytest_django import Settings

from winkhooks.error_reports import SecretlessReporter

PASSWORD = "p4ss%21word"


@pytest.mark.parametrize("name", ["WEBHOOK_PROXY", "REDIS_URL", "EMAIL_URL"])
def test_a_report_of_an_error_has_no_password_of_a_url(settings: Settings, name: str) -> None:
    setattr(settings, name, f"smtp://portal:{PASSWORD}@inside.example:2525")
    url = f"redis://:{PASSWORD}@inside.example:6379/0"
    try:
        raise ValueError(f"It was {url}.")
    except ValueError:
        reporter = SecretlessReporter(None, *sys.exc_info())
    for report in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert PASSWORD not in report
        assert "inside.example:2525" in report
        assert "redis://:…@inside.example:6379/0" in report
