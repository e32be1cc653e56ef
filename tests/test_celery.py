import pytest
from celery.signals import worker_init
from pytest_django import Settings


def test_a_worker_does_not_start_with_settings_that_a_check_refuses(settings: Settings) -> None:
    settings.WEBHOOK_LEASE_SECONDS = 5.0
    with pytest.raises(SystemExit, match=r"(?s)webhooks\.E001.*WEBHOOK_LEASE_SECONDS"):
        worker_init.send(sender=None)


def test_a_worker_starts_with_the_defaults() -> None:
    worker_init.send(sender=None)
