"""Recording beside sending: one batch at a time is written in a thread of its own, while the loop goes on."""

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, connections

from webhooks.engine.record import Recorded, Result, record_what_can_be


class Recorder:
    """Takes a batch when it is free, and has it written."""

    def __init__(self) -> None:
        self._batch: list[Result] = []
        self._recording: Future[Recorded] | None = None

    def __len__(self) -> int:
        """Return how many results it has."""
        return len(self._batch)

    @property
    def is_free(self) -> bool:
        return self._recording is None

    @property
    def is_done(self) -> bool:
        return self._recording is not None and self._recording.done()

    def start(self, batch: list[Result]) -> None:
        self._batch = batch
        if connection.vendor == "postgresql" and not connection.in_atomic_block:
            self._recording = _thread_of_process(os.getpid()).submit(_record_in_thread, batch)
        else:
            # Writers exclude each other anyway, or only this connection sees what there is to write to.
            self._recording = _record_here(batch)

    def take_back(self) -> tuple[list[Result], Recorded | BaseException]:
        """Return the batch with what came of it, or with the error because of which it is to be recorded again."""
        assert self._recording is not None
        batch, recording = self._batch, self._recording
        self._batch, self._recording = [], None
        return batch, recording.exception() or recording.result()

    def wait(self, seconds: float | None = None) -> None:
        if self._recording is not None:
            wait([self._recording], seconds)


@cache
def _thread_of_process(pid: int) -> ThreadPoolExecutor:
    """Return the thread that one drain after another uses, so that its connection to the database lasts."""
    return ThreadPoolExecutor(1, "recorder")


def end_thread() -> None:
    """End the thread of this process and its connection to the database; the next batch starts another."""
    if _thread_of_process.cache_info().currsize:
        thread = _thread_of_process(os.getpid())
        thread.submit(connections.close_all)
        thread.shutdown()
        _thread_of_process.cache_clear()


def _record_in_thread(batch: list[Result]) -> Recorded:
    close_old_connections()
    try:
        return record_what_can_be(batch)
    except (DatabaseError, InterfaceError):
        connection.close()
        raise


def _record_here(batch: list[Result]) -> Future[Recorded]:
    done: Future[Recorded] = Future()
    try:
        done.set_result(record_what_can_be(batch))
    except Exception as error:
        done.set_exception(error)
    return done
