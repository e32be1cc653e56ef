import threading

import pytest
from django.db import DataError, OperationalError, connection

from accounts.models import Account
from tests.webhooks.conftest import announce
from tests.webhooks.engine.test_record import result
from webhooks.engine import recorder as recorder_module
from webhooks.engine.claim import Claim, claim
from webhooks.engine.dispatch import dispatch
from webhooks.engine.record import Recorded, Result
from webhooks.engine.recorder import Recorder
from webhooks.models import Attempt, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def claims(account: Account, webhook: Webhook) -> list[Claim]:
    announce(account, count=3)
    dispatch()
    return claim({}, 10, 10)


def test_it_writes_a_batch_and_gives_it_back(claims: list[Claim]) -> None:
    recorder, batch = Recorder(), [result(claimed) for claimed in claims]
    recorder.start(batch)
    assert (recorder.is_free, len(recorder)) == (False, 3)
    recorder.wait(10)
    assert recorder.is_done
    assert recorder.take_back() == (batch, Recorded(3, set()))
    assert (recorder.is_free, len(recorder)) == (True, 0)
    assert Attempt.objects.count() == 3


def test_it_gives_the_error_back_with_the_batch(claims: list[Claim], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(results: list[Result]) -> Recorded:
        raise OperationalError("gone")

    monkeypatch.setattr(recorder_module, "record_what_can_be", fail)
    recorder, batch = Recorder(), [result(claims[0])]
    recorder.start(batch)
    recorder.wait(10)
    returned, error = recorder.take_back()
    assert returned == batch
    assert isinstance(error, OperationalError)
    assert recorder.is_free


@pytest.mark.skipif(connection.vendor != "postgresql", reason="With SQLite it writes in the same thread.")
def test_the_loop_goes_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    seen = threading.Event()

    def write_slowly(results: list[Result]) -> Recorded:
        threads.append(threading.current_thread())
        seen.wait(30)
        return Recorded(0, set())

    monkeypatch.setattr(recorder_module, "record_what_can_be", write_slowly)
    recorder = Recorder()
    recorder.start([])
    was_done = recorder.is_done
    seen.set()
    recorder.wait(10)
    assert (was_done, recorder.is_done) == (False, True)
    assert threads != [threading.current_thread()]


@pytest.mark.django_db
def test_what_only_this_transaction_sees_is_written_within_it(claims: list[Claim]) -> None:
    recorder = Recorder()
    recorder.start([result(claims[0])])
    assert recorder.is_done
    assert Attempt.objects.count() == 1


def test_a_thread_that_was_ended_is_replaced(claims: list[Claim]) -> None:
    recorder_module.end_thread()
    recorder_module.end_thread()
    recorder = Recorder()
    recorder.start([result(claims[0])])
    recorder.wait(10)
    assert recorder.take_back()[1] == Recorded(1, set())


def test_a_refused_result_is_logged_and_left_out(claims: list[Claim], monkeypatch: pytest.MonkeyPatch) -> None:
    from webhooks.engine import record as record_module

    record = record_module.record

    def refuse_the_first(results: list[Result]) -> Recorded:
        if results[0].claim == claims[0]:
            raise DataError("not this one")
        return record(results)

    monkeypatch.setattr(record_module, "record", refuse_the_first)
    recorder = Recorder()
    recorder.start([result(claimed) for claimed in claims])
    recorder.wait(10)
    assert recorder.take_back()[1] == Recorded(2, set())
