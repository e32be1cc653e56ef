from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from smtplib import SMTPRecipientsRefused, SMTPServerDisconnected
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from cryptography.fernet import Fernet
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test import Client
from django.utils import timezone, translation
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from structlog.testing import capture_logs
from time_machine import TimeMachineFixture

from accounts import letters, outbox
from accounts.models import Letter, User
from tests.brokers import Broker

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
TO = "somebody@example.com"
UNKNOWN = "account/email/unknown_account"


@pytest.fixture(autouse=True)
def at_start(time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(datetime(2026, 11, 24, 9, 30, tzinfo=UTC))


@pytest.fixture
def letter(db: None) -> Letter:
    with translation.override("en"):
        return letters.post(UNKNOWN, TO, {})


class FailingBackend(EmailBackend):
    error: Exception = OSError()

    def send_messages(self, messages: Sequence[EmailMessage]) -> Any:
        raise self.error


class PickyBackend(EmailBackend):
    """Takes nothing for TO at present."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> Any:
        if [email for email in messages if email.to == [TO]]:
            raise SMTPRecipientsRefused({TO: (450, b"later")})
        return super().send_messages(messages)


@pytest.fixture
def failing(settings: Settings) -> type[FailingBackend]:
    settings.EMAIL_BACKEND = f"{__name__}.FailingBackend"
    return FailingBackend


def test_it_goes_out_once_and_is_gone(letter: Letter) -> None:
    assert letters.send_next()
    assert not letters.send_next()
    [email] = mail.outbox
    assert email.to == [TO]
    assert email.extra_headers["Auto-Submitted"] == "auto-generated"
    assert isinstance(email, EmailMultiAlternatives)
    [(html, kind)] = email.alternatives
    assert kind == "text/html"
    assert '<html lang="en">' in str(html)
    assert not Letter.objects.exists()


def test_its_text_is_encrypted_while_it_waits(owner: User, client: Client) -> None:
    client.post("/password/reset/", {"email": owner.email})
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM accounts_letter")
        [(stored,)] = cursor.fetchall()
    assert stored.startswith("gAAAA")
    assert "/password/reset/" in Letter.objects.get().text


def test_it_is_in_the_language_of_the_user_or_of_the_page(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(language="fi")
    with translation.override("en"):
        assert letters.post(UNKNOWN, owner.email, {}).language == "fi"
        assert letters.post(UNKNOWN, TO, {}).language == "en"


@pytest.mark.parametrize("language", ["en", "fi"])
@pytest.mark.parametrize(
    "template",
    [
        "account/email/password_changed",
        "account/email/password_reset",
        "account/email/password_set",
        "mfa/email/recovery_codes_generated",
        "mfa/email/totp_activated",
        "mfa/email/totp_deactivated",
        "mfa/email/webauthn_added",
        "mfa/email/webauthn_removed",
    ],
)
def test_news_begin_with_the_subject_as_a_sentence(template: str, language: str) -> None:
    with translation.override(language):
        letter = letters.post(template, TO, {})
    assert letter.text.splitlines()[0] == f"{letter.subject}."


def test_names_cannot_write_headers(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "named_subject.txt").write_text("{% autoescape off %}{{ name }} was here{% endautoescape %}\n")
    (tmp_path / "named_message.txt").write_text("Hello.\n")
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path, *settings.TEMPLATES[0]["DIRS"]]}]
    letter = letters.post("named", TO, {"name": "Owner\r\nBcc: another@example.com"})
    assert letters.compose(letter).message()["Subject"] == "Owner Bcc: another@example.com was here"


def test_its_id_is_of_the_portal_and_the_same_for_a_second_copy(letter: Letter, settings: Settings) -> None:
    settings.PORTAL_URL = "https://hooks.example"
    [first, second] = [letters.compose(letter).message()["Message-ID"] for _ in range(2)]
    assert first == second == f"<{letter.pk.hex}.letter@hooks.example>"


def test_what_it_says_is_text_in_text_and_escaped_in_html(letter: Letter) -> None:
    letter.text = "Robert'); <b>"
    email = letters.compose(letter)
    assert email.body == "Robert'); <b>\n"
    assert "<b>" not in str(email.alternatives[0][0])


@pytest.mark.parametrize("error", [SMTPServerDisconnected(), OSError(), SoftTimeLimitExceeded()])
def test_while_mail_is_down_it_is_tried_again_each_minute(
    letter: Letter,
    failing: type[FailingBackend],
    settings: Settings,
    time_machine: TimeMachineFixture,
    error: Exception,
) -> None:
    failing.error = error
    with capture_logs() as log:
        assert not letters.send_next()
    assert [entry["event"] for entry in log] == ["mail_failed"]
    settings.EMAIL_BACKEND = LOCMEM
    assert not letters.send_next()
    time_machine.shift(timedelta(seconds=61))
    assert letters.send_next()
    assert len(mail.outbox) == 1


def test_one_that_is_refused_for_now_does_not_hold_up_the_others(
    letter: Letter, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    letters.post(UNKNOWN, "second@example.com", {})
    settings.EMAIL_BACKEND = f"{__name__}.PickyBackend"
    with capture_logs() as log:
        assert letters.send_next()
        assert letters.send_next()
        assert not letters.send_next()
    assert [(entry["event"], entry["for_good"], entry["letter"]) for entry in log] == [
        ("recipient_refused", False, str(letter.pk))
    ]
    assert [email.to for email in mail.outbox] == [["second@example.com"]]
    time_machine.shift(letters.RETRY_AFTER)
    settings.EMAIL_BACKEND = LOCMEM
    assert letters.send_next()
    assert [email.to for email in mail.outbox] == [["second@example.com"], [TO]]


def test_one_that_cannot_be_read_does_not_hold_up_the_others(
    letter: Letter, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    keys = settings.WEBHOOK_SECRET_KEYS
    settings.WEBHOOK_SECRET_KEYS = [Fernet.generate_key().decode()]
    letters.post(UNKNOWN, "second@example.com", {})
    with capture_logs() as log:
        assert letters.send_next()
        assert letters.send_next()
        assert not letters.send_next()
    assert [(entry["event"], entry["letter"]) for entry in log] == [("mail_unreadable", str(letter.pk))]
    assert [email.to for email in mail.outbox] == [["second@example.com"]]
    # With its key it goes out.
    settings.WEBHOOK_SECRET_KEYS = keys
    time_machine.shift(letters.RETRY_AFTER)
    assert letters.send_next()
    assert [email.to for email in mail.outbox] == [["second@example.com"], [TO]]


def test_what_the_mail_server_refuses_for_good_is_dropped(letter: Letter, failing: type[FailingBackend]) -> None:
    failing.error = SMTPRecipientsRefused({TO: (550, b"unknown")})
    with capture_logs() as log:
        assert letters.send_next()
    assert [entry["event"] for entry in log] == ["recipient_refused"]
    assert TO not in str(log)
    assert not Letter.objects.exists()


def test_what_is_old_is_dropped(letter: Letter, time_machine: TimeMachineFixture) -> None:
    time_machine.shift(letters.KEEP_FOR + timedelta(minutes=1))
    assert not letters.send_next()
    assert mail.outbox == []
    assert not Letter.objects.exists()


def test_what_another_worker_sends_is_left_to_it(letter: Letter) -> None:
    Letter.objects.update(send_after=timezone.now() + outbox.LEASE)
    assert not letters.send_next()


def test_a_worker_is_told_without_what_it_says(
    broker: Broker, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        letters.post(UNKNOWN, TO, {})
    [message] = broker.messages()
    headers = message["headers"]
    assert (headers["task"], headers["argsrepr"], headers["kwargsrepr"]) == ("accounts.tasks.send_letters", "()", "{}")


def test_a_broker_that_is_down_keeps_nobody_waiting(
    broker: Broker, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    broker.stop()
    with capture_logs() as log, django_capture_on_commit_callbacks(execute=True):
        letters.post(UNKNOWN, TO, {})
    assert [entry["event"] for entry in log] == ["broker_unreachable"]
    assert Letter.objects.exists()
