import socket

import pytest

from tests.stack import Stack

pytestmark = pytest.mark.stack


def health(stack: Stack, number: int = 1) -> str:
    return stack.manage("worker_health", "--worker", f"worker-{number}@{socket.gethostname()}", "--timeout", "3")


def can_work(stack: Stack) -> bool:
    try:
        return health(stack).strip() == "The worker can work."
    except AssertionError:
        return False


def test_a_worker_that_can_work_says_so(stack: Stack) -> None:
    # One whose broker was just restarted takes some seconds to hear questions again.
    assert any(can_work(stack) for _ in range(10))


def test_a_worker_that_is_not_there_does_not_answer(stack: Stack) -> None:
    with pytest.raises(AssertionError, match=r"The worker worker-9@\S+ does not answer\."):
        health(stack, 9)


def test_it_says_that_the_broker_does_not_answer(stack: Stack) -> None:
    stack.broker.stop()
    try:
        with pytest.raises(AssertionError, match=r"The broker does not answer"):
            health(stack)
    finally:
        stack.broker.start()


def test_it_says_that_the_database_does_not_answer(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stack.env, "DATABASE_URL", "postgres://nobody:@127.0.0.1:1/nothing")
    with pytest.raises(AssertionError, match=r"The database does not answer"):
        health(stack)
