import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import current_app
from django.core import mail

from accounts import invitations, outbox, tasks
from accounts.models import Account, Role, User
from tests.conftest import make_member
from tests.stack import Stack

pytestmark = pytest.mark.django_db


@pytest.fixture
def at_once() -> Iterator[None]:
    """Run each task where it is asked for."""
    current_app.conf.update(task_always_eager=True, task_eager_propagates=True)
    yield
    current_app.conf.update(task_always_eager=False, task_eager_propagates=False)


def test_one_message_has_all_sent(account: Account, owner: User, at_once: None) -> None:
    for number in range(3):
        invitations.invite(account=account, email=f"guest{number}@example.com", role="viewer", by=owner)
    tasks.send_invitations()
    assert sorted(email.to for email in mail.outbox) == [[f"guest{number}@example.com"] for number in range(3)]


def test_a_lease_outlasts_the_task() -> None:
    assert tasks.send_invitations.soft_time_limit == tasks.send_letters.soft_time_limit == outbox.SEND_SECONDS
    assert timedelta(seconds=outbox.SEND_SECONDS) < outbox.LEASE


def invite_in_stack(email: str) -> None:
    account = Account.objects.create(name="Cool Account")
    owner = make_member(account, Role.OWNER, f"inviter-{email}")
    invitations.invite(account=account, email=email, role="viewer", by=owner)


@pytest.mark.stack
def test_a_worker_sends_at_once(stack: Stack) -> None:
    stack.call(invite_in_stack, "invited@example.com")
    deadline = time.monotonic() + 20
    while "To: invited@example.com" not in stack.worker.log.read_text():
        assert time.monotonic() < deadline, "No e-mail came within 20 s, which is sooner than beat asks for it."
        time.sleep(0.1)
