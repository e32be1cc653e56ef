import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core import mail
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Account, Role, User
from tests.conftest import make_member
from tests.receivers import Receiver
from tests.stack import Stack
from tests.webhooks.conftest import make_webhook
from webhooks import notices, tasks
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db
GONE = Webhook.DisabledReason.GONE


@pytest.fixture
def at_once() -> Iterator[None]:
    """Run each task where it is asked for."""
    current_app.conf.update(task_always_eager=True, task_eager_propagates=True)
    yield
    current_app.conf.update(task_always_eager=False, task_eager_propagates=False)


def test_the_watch_has_everything_told_that_has_changed(account: Account, owner: User, at_once: None) -> None:
    for number in range(3):
        make_webhook(account, "https://b.example/", name=f"other {number}").disable(GONE)
    tasks.watch()
    assert sorted(str(email.subject) for email in mail.outbox) == [
        f"Webhook “other {number}” was disabled" for number in range(3)
    ]


def test_the_watch_disables_what_keeps_failing_and_has_it_told(
    webhook: Webhook, owner: User, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.health.DEAD_LEAST", 0)
    Webhook.objects.filter(pk=webhook.pk).update(failing_since=timezone.now() - timedelta(days=5))
    tasks.watch()
    assert [email.subject for email in mail.outbox] == ["Webhook “Wink Stalker” was disabled"]


def test_the_watch_sends_no_email_itself(webhook: Webhook, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(tasks.notify, "apply_async", lambda args, **options: asked.append((args, options)))
    webhook.disable(GONE)
    tasks.watch()
    tasks.watch()
    assert asked == [((str(webhook.pk), "DISABLED"), {"expires": notices.MESSAGE_SECONDS})]
    assert mail.outbox == []


def test_a_mail_server_that_fails_ends_the_row(
    account: Account, owner: User, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        make_webhook(account, "https://b.example/", name=f"other {number}").disable(GONE)
    tried = []

    def fail(webhook: Webhook, state: str) -> None:
        tried.append(webhook)
        raise ConnectionRefusedError

    monkeypatch.setattr(notices, "_send_emails", fail)
    tasks.watch()
    assert len(tried) == 1


def test_a_lease_outlasts_the_message_and_the_task() -> None:
    assert tasks.notify.soft_time_limit == notices.SEND_SECONDS
    assert timedelta(seconds=notices.MESSAGE_SECONDS + notices.SEND_SECONDS) < notices.LEASE


def test_the_heartbeat_calls_the_monitor(receiver: Receiver, settings: Settings) -> None:
    settings.HEARTBEAT_URL = receiver.url
    tasks.heartbeat()
    assert len(receiver.requests) == 1


def test_whatever_beat_sends_exists_and_expires(settings: Settings) -> None:
    # As a worker does when it starts.
    current_app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in current_app.tasks
        assert entry["options"]["expires"] >= entry["schedule"].total_seconds()


def ask_for_the_watch(email: str) -> None:
    account = Account.objects.create(name="Cool Account")
    make_member(account, Role.OWNER, email)
    make_webhook(account, "https://b.example/", name="In the stack").disable(GONE)
    tasks.watch.delay()


@pytest.mark.stack
def test_a_worker_tells_by_email(stack: Stack) -> None:
    stack.call(ask_for_the_watch, "told@example.com")
    deadline = time.monotonic() + 30
    while "To: told@example.com" not in (log := stack.worker.log.read_text()):
        assert time.monotonic() < deadline, "No e-mail came within 30 s."
        time.sleep(0.1)
    assert "“In the stack”, a webhook of Cool Account, was disabled" in log
