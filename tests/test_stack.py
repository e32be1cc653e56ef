"""The stack stands, apart from the database of the tests."""

import urllib.request

import psutil
import pytest

from accounts.models import Account
from tests.stack import Stack

pytestmark = pytest.mark.stack


def count_accounts_after_making(name: str) -> int:
    Account.objects.create(name=name)
    return Account.objects.count()


def test_it_answers_with_a_database_of_its_own(stack: Stack, db: None) -> None:
    count = stack.call(count_accounts_after_making, "In the stack")

    assert count >= 1
    assert not Account.objects.exists()
    assert "Winkhooks" in urllib.request.urlopen(f"{stack.url}/admin/login/").read().decode()
    assert "[X] 0001" in stack.manage("showmigrations", "accounts")


def test_a_command_that_fails_is_shown_with_what_it_said(stack: Stack) -> None:
    with pytest.raises(AssertionError, match="Unknown command: 'fly'"):
        stack.manage("fly")


def fail_to(do: str) -> None:
    raise ValueError(f"Cannot {do}.")


def test_a_call_that_fails_is_shown_with_what_it_said_and_the_next_one_works(stack: Stack) -> None:
    with pytest.raises(AssertionError, match=r"ValueError: Cannot fly\."):
        stack.call(fail_to, "fly")

    assert stack.call(count_accounts_after_making, "After a failure") >= 1


def test_its_programs_come_back_after_a_kill(stack: Stack) -> None:
    for program in stack.programs:
        killed = program.pid
        assert psutil.pid_exists(killed)
        program.kill()
        assert not psutil.pid_exists(killed)
        program.start()
        assert program.pid != killed

    assert urllib.request.urlopen(f"{stack.url}/admin/login/").status == 200
