"""Who is told what and when. What the e-mails say is tested in test_notice_email."""

import socket
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from smtplib import SMTPRecipientsRefused

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.db import OperationalError, connection
from pytest_django import DjangoAssertNumQueries, Settings
from structlog.testing import capture_logs
from time_machine import TimeMachineFixture

from accounts.models import Account, Membership, Role, User
from tests.conftest import make_member
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import make_webhook
from webhooks import health, notices
from webhooks.models import Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
REASON = Webhook.DisabledReason


@pytest.fixture(autouse=True)
def at_start(time_machine: TimeMachineFixture, owner: User) -> None:
    time_machine.move_to(START, tick=False)


def tell() -> list[str]:
    """Do what the sweep does, with all that follows from it; return the subjects of the e-mails that went out."""
    before = len(mail.outbox)
    while (notice := notices.claim()) and notices.send(*notice):
        pass
    return [str(email.subject) for email in mail.outbox[before:]]


def told(webhook: Webhook) -> str:
    webhook.refresh_from_db()
    return webhook.notified_state


def fail(webhook: Webhook) -> None:
    health.note([(str(webhook.pk), False)])


def succeed(webhook: Webhook) -> None:
    """Let a new event arrive at the webhook."""
    make_delivery(webhook, "SUCCEEDED")
    health.note([(str(webhook.pk), True)])


FAILING = ["Webhook “Wink Stalker” is failing"]
DISABLED = ["Webhook “Wink Stalker” was disabled"]
WORKS = ["Webhook “Wink Stalker” works again"]


# Over time


def test_a_webhook_that_never_failed_makes_no_email(webhook: Webhook) -> None:
    succeed(webhook)
    assert tell() == []


def test_an_hour_of_failing_is_told_once(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(HOUR - timedelta(seconds=1))
    assert tell() == []
    time_machine.shift(1)
    assert tell() == FAILING
    fail(webhook)
    time_machine.shift(24 * HOUR)
    assert tell() == []
    assert told(webhook) == "FAILING"


def test_a_short_failure_makes_no_email_at_all(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(HOUR / 2)
    succeed(webhook)
    time_machine.shift(HOUR)
    assert tell() == []


def test_a_recovery_is_told_once(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(HOUR)
    assert tell() == FAILING
    succeed(webhook)
    assert tell() == WORKS
    assert tell() == []
    assert told(webhook) == ""


def test_a_webhook_that_fails_again_within_the_hour_has_not_recovered(
    webhook: Webhook, time_machine: TimeMachineFixture
) -> None:
    fail(webhook)
    time_machine.shift(HOUR)
    assert tell() == FAILING
    health.note([(str(webhook.pk), True), (str(webhook.pk), False)])
    assert tell() == []
    time_machine.shift(2 * HOUR)
    assert tell() == []


def test_each_outage_is_told(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    for _ in range(2):
        fail(webhook)
        time_machine.shift(HOUR)
        assert tell() == FAILING
        succeed(webhook)
        assert tell() == WORKS


@pytest.mark.parametrize("reason", [REASON.GONE, REASON.FAILING])
def test_what_the_engine_disables_is_told_once(webhook: Webhook, reason: Webhook.DisabledReason) -> None:
    webhook.disable(reason)
    assert tell() == DISABLED
    assert tell() == []
    assert told(webhook) == "DISABLED"


def test_what_was_failing_and_is_disabled_is_told_twice(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    time_machine.shift(HOUR)
    assert tell() == FAILING
    webhook.disable(REASON.FAILING)
    assert tell() == DISABLED


def test_what_a_person_disables_is_not_told(webhook: Webhook, owner: User, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    webhook.disable(REASON.BY_USER, by=owner)
    time_machine.shift(HOUR)
    assert tell() == []


@pytest.mark.parametrize("disabled", [False, True])
def test_removed_webhooks_make_no_email(webhook: Webhook, disabled: bool, time_machine: TimeMachineFixture) -> None:
    fail(webhook)
    if disabled:
        webhook.disable(REASON.GONE)
    webhook.remove(by=None)
    time_machine.shift(HOUR)
    assert tell() == []


# After somebody enabled it again


@pytest.fixture
def resumed(webhook: Webhook, time_machine: TimeMachineFixture) -> Webhook:
    """A webhook that was told to be disabled, and that somebody enabled an hour later."""
    webhook.disable(REASON.GONE)
    assert tell() == DISABLED
    time_machine.shift(HOUR)
    webhook.enable()
    time_machine.shift(1)
    return webhook


def test_enabling_alone_is_no_recovery(resumed: Webhook) -> None:
    assert tell() == []
    assert told(resumed) == "RESUMED"


def test_the_first_success_after_enabling_is_a_recovery(resumed: Webhook) -> None:
    succeed(resumed)
    assert tell() == WORKS
    assert told(resumed) == ""


def test_a_success_from_before_is_no_recovery(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    succeed(webhook)
    time_machine.shift(1)
    webhook.disable(REASON.GONE)
    assert tell() == DISABLED
    webhook.enable()
    assert tell() == []


def test_failing_for_an_hour_after_enabling_is_told(resumed: Webhook, time_machine: TimeMachineFixture) -> None:
    fail(resumed)
    assert tell() == []
    time_machine.shift(HOUR)
    assert tell() == FAILING


def test_being_disabled_again_after_enabling_is_told(resumed: Webhook) -> None:
    resumed.disable(REASON.GONE)
    assert tell() == DISABLED


def test_switching_a_failing_webhook_off_and_on_is_no_recovery(
    webhook: Webhook, owner: User, time_machine: TimeMachineFixture
) -> None:
    fail(webhook)
    time_machine.shift(HOUR)
    assert tell() == FAILING
    webhook.disable(REASON.BY_USER, by=owner)
    webhook.enable()
    assert tell() == []
    time_machine.shift(1)
    succeed(webhook)
    assert tell() == WORKS


def test_enabling_what_nobody_was_told_of_makes_no_email(webhook: Webhook, owner: User) -> None:
    webhook.disable(REASON.BY_USER, by=owner)
    webhook.enable()
    succeed(webhook)
    assert tell() == []


# To whom


def recipients() -> list[str]:
    tell()
    return sorted(address for email in mail.outbox for address in email.to)


def test_owners_and_managers_are_told(webhook: Webhook, manager: User, viewer: User, stranger: User) -> None:
    webhook.disable(REASON.GONE)
    assert recipients() == ["manager@example.com", "owner@example.com"]


def test_each_gets_an_email_of_their_own(webhook: Webhook, manager: User) -> None:
    webhook.disable(REASON.GONE)
    tell()
    assert [len(email.recipients()) for email in mail.outbox] == [1, 1]


def test_inactive_users_are_not_told(webhook: Webhook, manager: User) -> None:
    User.objects.filter(pk=manager.pk).update(is_active=False)
    webhook.disable(REASON.GONE)
    assert recipients() == ["owner@example.com"]


def test_a_role_in_another_account_does_not_count(webhook: Webhook, viewer: User, stranger: User) -> None:
    Membership.objects.create(user=viewer, account=stranger.accounts.get(), role=Role.OWNER)
    webhook.disable(REASON.GONE)
    assert recipients() == ["owner@example.com"]


def test_an_account_without_anybody_to_tell_is_done_with(webhook: Webhook, owner: User) -> None:
    owner.memberships.all().delete()
    webhook.disable(REASON.GONE)
    assert tell() == []
    assert told(webhook) == "DISABLED"


# With more than one worker


def test_a_notice_that_a_worker_has_is_no_other_ones(account: Account, webhook: Webhook) -> None:
    other = make_webhook(account, "https://b.example/")
    webhook.disable(REASON.GONE)
    other.disable(REASON.GONE)
    assert notices.claim() == (webhook.pk, "DISABLED")
    assert notices.claim() is None
    notices.send(webhook.pk, "DISABLED")
    assert notices.claim() == (other.pk, "DISABLED")


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_claim_a_notice_once(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook.disable(REASON.GONE)
    both_have_seen_it = threading.Barrier(2, timeout=10)
    state_to_tell = notices.state_to_tell

    def wait_for_the_other(webhook: Webhook, now: datetime) -> str | None:
        both_have_seen_it.wait()
        return state_to_tell(webhook, now)

    monkeypatch.setattr(notices, "state_to_tell", wait_for_the_other)
    claimed: list[object] = []

    def work() -> None:
        try:
            claimed.append(notices.claim())
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)
    assert sorted(claimed, key=str) == [(webhook.pk, "DISABLED"), None]


def test_the_notice_of_a_worker_that_died_is_sent_by_another(
    webhook: Webhook, time_machine: TimeMachineFixture
) -> None:
    webhook.disable(REASON.GONE)
    assert notices.claim()
    time_machine.shift(notices.LEASE - timedelta(seconds=1))
    assert tell() == []
    time_machine.shift(1)
    assert tell() == DISABLED


def test_a_message_that_arrives_when_the_lease_is_over_sends_nothing(
    webhook: Webhook, time_machine: TimeMachineFixture
) -> None:
    webhook.disable(REASON.GONE)
    notice = notices.claim()
    assert notice
    time_machine.shift(notices.LEASE)
    notices.send(*notice)
    assert mail.outbox == []


def test_a_message_that_arrives_twice_sends_once(webhook: Webhook) -> None:
    webhook.disable(REASON.GONE)
    notice = notices.claim()
    assert notice
    notices.send(*notice)
    notices.send(*notice)
    assert len(mail.outbox) == 1


def test_a_second_copy_after_the_database_failed_has_the_same_id(
    webhook: Webhook, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.disable(REASON.GONE)
    notice = notices.claim()
    assert notice

    def fail(webhook: Webhook) -> None:
        raise OperationalError

    with monkeypatch.context() as broken:
        broken.setattr(notices, "_as_it_was", fail)
        with pytest.raises(OperationalError):
            notices.send(*notice)
    time_machine.shift(notices.LEASE)
    assert tell() == DISABLED
    assert len(mail.outbox) == 2
    assert len({email.extra_headers["Message-ID"] for email in mail.outbox}) == 1


def test_what_has_changed_again_before_the_message_arrives_is_not_told(
    webhook: Webhook, time_machine: TimeMachineFixture
) -> None:
    fail(webhook)
    time_machine.shift(HOUR)
    notice = notices.claim()
    assert notice
    succeed(webhook)
    assert notices.send(*notice)
    assert mail.outbox == []
    webhook.refresh_from_db()
    assert (webhook.notified_state, webhook.notify_after) == ("", None)


def test_a_webhook_that_is_enabled_while_its_email_goes_out_is_not_marked_as_disabled(
    webhook: Webhook, settings: Settings
) -> None:
    webhook.disable(REASON.GONE)
    settings.EMAIL_BACKEND = f"{__name__}.EnablingBackend"
    assert tell() == DISABLED
    webhook.refresh_from_db()
    assert (webhook.notified_state, webhook.notify_after) == ("", None)
    assert tell() == []


class EnablingBackend(EmailBackend):
    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        Webhook.objects.get().enable()
        return super().send_messages(messages)


# When the mail server fails


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def smtp(settings: Settings) -> Settings:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = closed_port()
    return settings


def test_a_mail_server_that_is_down_is_tried_again_later(
    webhook: Webhook, smtp: Settings, time_machine: TimeMachineFixture
) -> None:
    webhook.disable(REASON.GONE)
    with capture_logs() as logs:
        assert tell() == []
    assert [(line["event"], line["webhook"]) for line in logs] == [("mail_failed", str(webhook.pk))]
    assert told(webhook) == ""
    smtp.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    time_machine.shift(notices.RETRY_AFTER - timedelta(seconds=1))
    assert tell() == []
    time_machine.shift(1)
    assert tell() == DISABLED


def test_a_mail_server_that_hangs_is_given_up_soon(webhook: Webhook, smtp: Settings) -> None:
    webhook.disable(REASON.GONE)
    with socket.create_server(("127.0.0.1", 0)) as server, capture_logs() as logs:
        smtp.EMAIL_PORT = server.getsockname()[1]
        smtp.EMAIL_TIMEOUT = 0.2
        assert tell() == []
    assert [line["error"] for line in logs] == ["SMTPServerDisconnected('Connection unexpectedly closed: timed out')"]


def test_one_notice_alone_tries_a_mail_server_that_fails(
    account: Account, webhook: Webhook, smtp: Settings, time_machine: TimeMachineFixture
) -> None:
    others = [make_webhook(account, "https://b.example/", name=f"other {number}") for number in range(3)]
    for each in [webhook, *others]:
        each.disable(REASON.GONE)
    with capture_logs() as logs:
        tell()
        tell()
        assert [line["webhook"] for line in logs] == [str(webhook.pk)]
        # The next time it is another one's turn, so that none stands in the way of all.
        time_machine.shift(notices.RETRY_AFTER)
        tell()
    assert [line["webhook"] for line in logs] == [str(webhook.pk), str(others[0].pk)]
    smtp.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    time_machine.shift(notices.RETRY_AFTER)
    assert len(tell()) == 4


class PickyBackend(EmailBackend):
    """Takes what is for the manager, and refuses the owner with the code that stands in the settings."""

    code = 0

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        [message] = messages
        if message.to == ["owner@example.com"]:
            raise SMTPRecipientsRefused({"owner@example.com": (self.code, b"No")})
        return super().send_messages(messages)


@pytest.fixture
def picky(settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.PickyBackend"
    monkeypatch.setattr(PickyBackend, "code", request.param)


@pytest.mark.parametrize("picky", [550, 451], indirect=True)
def test_an_address_that_is_refused_keeps_nobody_else_from_being_told(
    webhook: Webhook, owner: User, manager: User, picky: None
) -> None:
    webhook.disable(REASON.GONE)
    with capture_logs() as logs:
        assert recipients() == ["manager@example.com"]
    assert {"event": "recipient_refused", "user": str(owner.pk), "webhook": str(webhook.pk)}.items() <= logs[0].items()
    assert told(webhook) == "DISABLED"


@pytest.mark.parametrize("picky", [550], indirect=True)
def test_an_address_that_is_refused_for_good_is_not_tried_again(webhook: Webhook, picky: None) -> None:
    webhook.disable(REASON.GONE)
    assert tell() == []
    assert told(webhook) == "DISABLED"


@pytest.mark.parametrize("picky", [451], indirect=True)
def test_an_address_that_is_refused_for_now_is_tried_again(
    webhook: Webhook, settings: Settings, time_machine: TimeMachineFixture, picky: None
) -> None:
    webhook.disable(REASON.GONE)
    assert tell() == []
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    time_machine.shift(notices.RETRY_AFTER)
    assert tell() == DISABLED


class BreakingBackend(EmailBackend):
    """Takes one e-mail, and then nothing any more."""

    taken = 0
    error: Exception = ConnectionResetError()

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        if self.taken:
            raise self.error
        self.taken = 1
        return super().send_messages(messages)


@pytest.mark.parametrize("error", [ConnectionResetError(), SoftTimeLimitExceeded()])
def test_a_mail_server_that_breaks_between_two_emails_sends_none_twice(
    webhook: Webhook,
    manager: User,
    settings: Settings,
    time_machine: TimeMachineFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.BreakingBackend"
    monkeypatch.setattr(BreakingBackend, "error", error)
    webhook.disable(REASON.GONE)
    with capture_logs() as logs:
        assert tell() == DISABLED
        time_machine.shift(notices.RETRY_AFTER)
        assert tell() == []
    assert [(line["event"], line["taken"]) for line in logs] == [("mail_incomplete", 1)]


# What it costs


def test_with_nothing_to_tell_it_is_three_queries(
    account: Account, webhook: Webhook, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        fail(make_webhook(account, "https://b.example/", name=f"other {number}"))
    with django_assert_num_queries(3):
        assert notices.claim() is None


def test_what_waits_for_its_first_success_keeps_nothing_else_waiting(
    account: Account, resumed: Webhook, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    other = make_webhook(account, "https://b.example/")
    other.disable(REASON.GONE)
    # Whether one is on its way, which one is next, and the claim.
    with django_assert_num_queries(3):
        assert notices.claim() == (other.pk, "DISABLED")


def test_an_email_costs_no_query_of_its_own(
    account: Account, webhook: Webhook, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        make_member(account, Role.MANAGER, f"manager{number}@example.com")
    webhook.disable(REASON.GONE)
    notice = notices.claim()
    assert notice
    # The webhook, who is told, the last attempt by way of the newest deliveries, two counts, and what was told.
    with django_assert_num_queries(6):
        notices.send(*notice)
    assert len(mail.outbox) == 6


def test_deliveries_that_wait_hide_no_success(resumed: Webhook) -> None:
    succeed(resumed)
    for _ in range(3):
        make_delivery(resumed)
    assert tell() == WORKS
