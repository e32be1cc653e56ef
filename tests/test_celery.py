from types import SimpleNamespace
from typing import Any

import pytest
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]  # missing in the stubs
from celery.signals import celeryd_after_setup, task_prerun, worker_init
from django.db import connection, transaction
from pytest_django import Settings

from tests.webhooks.test_checks import set_up_as_an_installation  # noqa: F401  a fixture that is always used
from winkhooks.celery import app


def test_a_worker_does_not_start_with_settings_that_a_check_refuses(settings: Settings) -> None:
    settings.WEBHOOK_LEASE_SECONDS = 5.0
    with pytest.raises(SystemExit, match=r"(?s)webhooks\.E001.*WEBHOOK_LEASE_SECONDS"):
        worker_init.send(sender=None)


def test_a_worker_starts_with_the_defaults() -> None:
    worker_init.send(sender=None)


def test_a_worker_says_that_its_processes_share_a_file(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
    worker: Any = SimpleNamespace(concurrency=4)
    celeryd_after_setup.send(sender="celery@here", instance=worker, conf=None)
    assert "webhooks.W007" in caplog.text


def test_a_connection_to_the_database_lasts_from_one_task_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    fixup, closed = DjangoWorkerFixup(app), []
    monkeypatch.setattr(fixup, "_close_database", lambda: closed.append(True))
    for _ in range(100):
        fixup.close_database()
    assert not closed


@pytest.mark.django_db(transaction=True)
def test_before_a_task_a_connection_that_is_too_old_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    task_prerun.send(sender=None)
    assert connection.connection is not None
    monkeypatch.setattr(connection, "close_at", 0)
    with transaction.atomic():
        task_prerun.send(sender=None)
        assert connection.connection is not None
    task_prerun.send(sender=None)
    assert connection.connection is None
