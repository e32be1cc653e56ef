"""Inviting, accepting and sending. What the pages make of it is tested with the views."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from smtplib import SMTPRecipientsRefused, SMTPServerDisconnected

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.core.signing import Signer
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from structlog.testing import capture_logs
from time_machine import TimeMachineFixture

from accounts import invitations, outbox
from accounts.models import Account, Invitation, Membership, Role, User
from tests.accounts.conftest import GUEST
from tests.brokers import Broker
from tests.conftest import make_user
from webhooks import tasks

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOUR = timedelta(hours=1)
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture(autouse=True)
def at_start(time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(datetime(2026, 11, 24, 9, 30, tzinfo=UTC))


@pytest.fixture
def guest(db: None) -> User:
    """The user of the address that is invited."""
    return make_user("Guest@Example.com")


def role_of(user: User) -> str | None:
    return Membership.objects.filter(user=user).values_list("role", flat=True).first()


# Invitations in the database


@pytest.mark.parametrize("email", [GUEST, "GUEST@example.COM"])
def test_an_address_has_one_open_invitation_in_an_account(invitation: Invitation, email: str) -> None:
    another = {"account": invitation.account, "email": email, "language": "en", "expires_at": timezone.now()}
    with pytest.raises(IntegrityError, match=r"invitation_open_unique|UNIQUE"), transaction.atomic():
        Invitation.objects.create(**another)
    Invitation.objects.update(withdrawn_at=timezone.now())
    Invitation.objects.create(**another)


@pytest.mark.parametrize("values", [{"role": "admin"}, {"accepted_at": timezone.now(), "withdrawn_at": timezone.now()}])
def test_states_that_there_are_not_are_refused(invitation: Invitation, values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.update(**values)


def test_who_is_invited_already_is_refused(invitation: Invitation, owner: User) -> None:
    with pytest.raises(ValidationError) as error:
        invitations.invite(account=invitation.account, email="GUEST@example.com", role="viewer", by=owner)
    assert error.value.code == "invited"


# Tokens


def test_a_token_leads_to_its_invitation(invitation: Invitation) -> None:
    assert invitations.find(invitations.token_of(invitation)) == invitation


def test_a_token_cannot_be_made_of_what_the_database_holds(invitation: Invitation) -> None:
    parts = f"{invitation.pk.hex}.{invitation.nonce}"
    signed_elsewhere = Signer(salt="another", sep=".").sign(parts)
    for token in ("", ".", "..", parts, f"{parts}.", f"{parts}.{'a' * 43}", signed_elsewhere, "\x00.a.b", "é"):
        assert invitations.find(token) is None


def test_no_part_of_a_token_can_be_changed(invitation: Invitation) -> None:
    token = invitations.token_of(invitation)
    for position in range(0, len(token), 7):
        other = "0" if token[position] != "0" else "1"
        assert invitations.find(token[:position] + other + token[position + 1 :]) is None


def test_another_secret_key_ends_all_tokens(invitation: Invitation, settings: Settings) -> None:
    token = invitations.token_of(invitation)
    settings.SECRET_KEY = "another-key-for-tests"
    assert invitations.find(token) is None


def test_sending_again_ends_the_token_before(invitation: Invitation, owner: User) -> None:
    token = invitations.token_of(invitation)
    assert invitations.resend(invitation, by=owner)
    assert invitations.find(token) is None
    invitation.refresh_from_db()
    assert invitations.find(invitations.token_of(invitation)) == invitation


# Accepting


def test_who_accepts_becomes_a_member(invitation: Invitation, guest: User) -> None:
    assert invitations.accept(invitation, guest)
    assert role_of(guest) == Role.MANAGER
    invitation.refresh_from_db()
    assert invitation.accepted_by == guest
    assert invitation.send_after is None


def test_it_is_accepted_once(invitation: Invitation, guest: User) -> None:
    assert invitations.accept(invitation, guest)
    guest.memberships.all().delete()
    assert not invitations.accept(invitation, guest)
    assert role_of(guest) is None


def test_nobody_else_can_accept(invitation: Invitation, stranger: User) -> None:
    assert not invitations.accept(invitation, stranger)
    assert not invitation.account.memberships.filter(user=stranger).exists()


def test_who_is_a_member_by_now_keeps_the_role(invitation: Invitation, guest: User) -> None:
    Membership.objects.create(account=invitation.account, user=guest, role=Role.VIEWER)
    assert invitations.accept(invitation, guest)
    assert role_of(guest) == Role.VIEWER


def test_what_was_withdrawn_meanwhile_is_not_accepted(invitation: Invitation, owner: User, guest: User) -> None:
    assert invitations.withdraw(invitation, by=owner)
    assert not invitations.accept(invitation, guest)
    assert role_of(guest) is None


def test_what_was_sent_again_meanwhile_is_not_accepted(invitation: Invitation, owner: User, guest: User) -> None:
    found = invitations.find(invitations.token_of(invitation))
    assert found
    invitations.resend(invitation, by=owner)
    assert not invitations.accept(found, guest)
    assert role_of(guest) is None


def test_it_expires_after_seven_days(invitation: Invitation, guest: User, time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(invitation.expires_at, tick=False)
    assert not invitations.accept(invitation, guest)
    time_machine.shift(timedelta(seconds=-1))
    assert invitations.accept(invitation, guest)


def test_sending_again_lets_it_live_on(
    invitation: Invitation, owner: User, guest: User, time_machine: TimeMachineFixture
) -> None:
    time_machine.move_to(invitation.expires_at + HOUR, tick=False)
    assert invitations.resend(invitation, by=owner)
    invitation.refresh_from_db()
    assert invitations.accept(invitation, guest)


def test_somebody_new_becomes_a_user_and_a_member(invitation: Invitation) -> None:
    user = User(email=GUEST)
    assert invitations.accept_as_new(invitation, user)
    assert role_of(User.objects.with_email(GUEST).get()) == Role.MANAGER


def test_somebody_new_stays_out_with_an_invitation_that_has_ended(invitation: Invitation, owner: User) -> None:
    invitations.withdraw(invitation, by=owner)
    assert not invitations.accept_as_new(invitation, User(email=GUEST))
    assert not User.objects.with_email(GUEST).exists()


def test_an_address_that_got_a_user_meanwhile_gets_no_second_one(invitation: Invitation, guest: User) -> None:
    assert not invitations.accept_as_new(invitation, User(email=GUEST))
    assert User.objects.with_email(GUEST).get() == guest
    assert role_of(guest) is None


@pytest.mark.parametrize("change", [invitations.resend, invitations.withdraw])
def test_what_was_accepted_is_neither_sent_again_nor_withdrawn(
    invitation: Invitation, owner: User, guest: User, change: Callable[..., bool]
) -> None:
    invitations.accept(invitation, guest)
    assert not change(invitation, by=owner)
    assert role_of(guest) == Role.MANAGER


# Sending


def send_all() -> list[str]:
    """Do what the task does; return to whom e-mails went."""
    before = len(mail.outbox)
    while invitations.send_next():
        pass
    return [address for email in mail.outbox[before:] for address in email.to]


def test_an_invitation_is_sent_once(invitation: Invitation) -> None:
    assert send_all() == [GUEST]
    assert send_all() == []
    invitation.refresh_from_db()
    assert invitation.send_after is None
    assert invitation.sent_at is not None
    assert invitations.token_of(invitation) in str(mail.outbox[0].body)


def test_those_that_wait_longest_go_first(
    account: Account, owner: User, invitation: Invitation, time_machine: TimeMachineFixture
) -> None:
    time_machine.shift(HOUR)
    invitations.invite(account=account, email="second@example.com", role="viewer", by=owner)
    assert send_all() == [GUEST, "second@example.com"]


def test_sending_again_sends_the_new_link(invitation: Invitation, owner: User) -> None:
    send_all()
    invitations.resend(invitation, by=owner)
    assert send_all() == [GUEST]
    invitation.refresh_from_db()
    assert invitations.token_of(invitation) in str(mail.outbox[1].body)


def test_what_has_ended_is_not_sent(
    account: Account, owner: User, invitation: Invitation, time_machine: TimeMachineFixture
) -> None:
    late = invitations.invite(account=account, email="late@example.com", role="viewer", by=owner)
    invitations.withdraw(invitation, by=owner)
    time_machine.move_to(late.expires_at)
    assert send_all() == []


class FailingBackend(EmailBackend):
    """Does what a mail server does that fails or refuses."""

    error: Exception

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        raise self.error


@pytest.fixture
def failing(settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(FailingBackend, "error", request.param, raising=False)
    settings.EMAIL_BACKEND = f"{__name__}.FailingBackend"


@pytest.mark.parametrize(
    "failing", [SMTPServerDisconnected("gone"), ConnectionRefusedError(), SoftTimeLimitExceeded()], indirect=True
)
def test_a_mail_server_that_fails_is_tried_again_later(
    account: Account,
    owner: User,
    invitation: Invitation,
    failing: None,
    settings: Settings,
    time_machine: TimeMachineFixture,
) -> None:
    invitations.invite(account=account, email="second@example.com", role="viewer", by=owner)
    with capture_logs() as logs:
        # The failure ends the row: the second one is not tried.
        assert not invitations.send_next()
    assert [(line["event"], line["invitation"]) for line in logs] == [("mail_failed", str(invitation.pk))]
    settings.EMAIL_BACKEND = LOCMEM
    assert send_all() == ["second@example.com"]
    time_machine.shift(invitations.RETRY_AFTER)
    assert send_all() == [GUEST]


@pytest.mark.parametrize("failing", [SMTPRecipientsRefused({GUEST: (550, b"No")})], indirect=True)
def test_an_address_that_is_refused_for_good_is_not_tried_again(
    invitation: Invitation, failing: None, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    with capture_logs() as logs:
        assert invitations.send_next()
    assert [(line["event"], line["for_good"]) for line in logs] == [("recipient_refused", True)]
    settings.EMAIL_BACKEND = LOCMEM
    time_machine.shift(HOUR)
    assert send_all() == []
    invitation.refresh_from_db()
    assert (invitation.send_after, invitation.sent_at) == (None, None)


@pytest.mark.parametrize("failing", [SMTPRecipientsRefused({GUEST: (451, b"Later")})], indirect=True)
def test_an_address_that_is_refused_for_now_is_tried_again(
    invitation: Invitation, failing: None, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    assert invitations.send_next()
    settings.EMAIL_BACKEND = LOCMEM
    assert send_all() == []
    time_machine.shift(invitations.RETRY_AFTER)
    assert send_all() == [GUEST]


@pytest.mark.parametrize("failing", [KeyboardInterrupt()], indirect=True)
def test_a_worker_that_dies_leaves_it_to_another(
    invitation: Invitation, failing: None, settings: Settings, time_machine: TimeMachineFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        invitations.send_next()
    settings.EMAIL_BACKEND = LOCMEM
    assert send_all() == []
    time_machine.shift(outbox.LEASE)
    assert send_all() == [GUEST]


class SlowBackend(EmailBackend):
    """Takes so long that the invitation is sent again meanwhile."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        invitation = Invitation.objects.get()
        if not mail.outbox:
            invitations.resend(invitation, by=User.objects.get())
        return super().send_messages(messages)


def test_what_is_sent_again_while_a_worker_sends_it_goes_out_with_the_new_link(
    invitation: Invitation, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.SlowBackend"
    assert send_all() == [GUEST, GUEST]
    invitation.refresh_from_db()
    assert invitations.token_of(invitation) in str(mail.outbox[1].body)
    assert invitation.sent_at is not None


def test_what_another_worker_has_taken_is_left_to_it(invitation: Invitation) -> None:
    claims: list[str] = []

    def claim_first(execute: Callable[..., object], sql: str, *rest: object) -> object:
        if sql.startswith("UPDATE") and not claims:
            claims.append(sql)
            Invitation.objects.update(send_after=timezone.now() + HOUR)
        return execute(sql, *rest)

    with connection.execute_wrapper(claim_first):
        assert invitations.send_next()
    assert claims
    assert mail.outbox == []


# Removing


def test_those_that_ended_30_days_ago_are_removed(account: Account, owner: User) -> None:
    now = timezone.now()
    long_ago, lately = now - timedelta(days=31), now - timedelta(days=29)
    ends = {
        f"{name}-{when}": {"expires_at": moment, name: moment}
        for name in ("accepted_at", "withdrawn_at", "expires_at")
        for when, moment in (("long-ago", long_ago), ("lately", lately))
    }
    # It was answered, and what counts is when.
    ends["withdrawn_at-after-it-expired"] = {"expires_at": long_ago, "withdrawn_at": lately}
    ends["open"] = {"expires_at": now + HOUR}
    for name, end in ends.items():
        Invitation.objects.create(account=account, email=f"{name}@example.com", language="en", **end)
    assert invitations.purge() == 3
    left = set(Invitation.objects.values_list("email", flat=True))
    assert left == {f"{name}@example.com" for name in ends if not name.endswith("long-ago")}


def test_they_are_removed_in_batches(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "PURGE_BATCH", 2)
    for number in range(5):
        Invitation.objects.create(
            account=account,
            email=f"guest{number}@example.com",
            language="en",
            expires_at=timezone.now() - timedelta(days=31),
        )
    tasks.purge()
    assert not Invitation.objects.exists()


# Asking a worker


def test_a_worker_is_asked_after_the_commit(
    account: Account,
    owner: User,
    broker: Broker,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        invitation = invitations.invite(account=account, email=GUEST, role="viewer", by=owner)
        invitations.resend(invitation, by=owner)
        assert broker.messages() == []
    messages = broker.messages()
    assert len(messages) == 2
    for message in messages:
        assert message["headers"]["task"] == "accounts.tasks.send_invitations"
        assert (message["headers"]["argsrepr"], message["headers"]["kwargsrepr"]) == ("()", "{}")
        assert message["headers"]["expires"] is not None


def test_without_a_broker_the_invitation_waits(
    account: Account,
    owner: User,
    broker: Broker,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    broker.stop()
    with capture_logs() as logs, django_capture_on_commit_callbacks(execute=True):
        invitations.invite(account=account, email=GUEST, role="viewer", by=owner)
    assert [line["event"] for line in logs] == ["broker_unreachable"]
    assert send_all() == [GUEST]


def test_a_broker_that_hangs_holds_nobody_up_for_long(
    account: Account,
    owner: User,
    broker: Broker,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    os.kill(broker.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    with django_capture_on_commit_callbacks(execute=True):
        invitations.invite(account=account, email=GUEST, role="viewer", by=owner)
    # With the transaction.
    assert time.monotonic() - started < 1
    assert send_all() == [GUEST]
