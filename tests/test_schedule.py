from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from celery import Task, uuid
from celery.worker.request import Request
from django.conf import settings
from kombu.message import Message

from webhooks import tasks
from winkhooks.celery import app
from winkhooks.schedule import Scheduler

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Recorder(Scheduler):
    """It writes down what it would have sent."""

    sent: list[str]
    # Beat's own would look for the broker, for ever.
    producer: Any = None

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.sent.append(entry.name)

    def run_at(self, moment: datetime) -> list[str]:
        """Tick until nothing is due; return what was sent."""
        self.sent = []
        with time_machine.travel(moment, tick=False):
            while self.tick() == 0:
                pass
        return self.sent


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Recorder]:
    with time_machine.travel(NOON, tick=False):
        scheduler = Recorder(app, schedule_filename=str(tmp_path / "schedule"))
    yield scheduler
    scheduler.close()


def test_it_sweeps_every_three_seconds(scheduler: Recorder) -> None:
    assert scheduler.run_at(NOON + timedelta(seconds=2)) == []
    assert scheduler.run_at(NOON + timedelta(seconds=3)) == ["sweep"]
    assert scheduler.run_at(NOON + timedelta(seconds=4)) == []
    assert scheduler.run_at(NOON + timedelta(seconds=6)) == ["sweep"]


def test_it_sweeps_on_when_the_clock_is_set_back(scheduler: Recorder) -> None:
    scheduler.run_at(NOON + timedelta(seconds=3))
    earlier = NOON - timedelta(hours=1)

    assert scheduler.run_at(earlier) == []
    assert scheduler.run_at(earlier + timedelta(seconds=3)) == ["sweep"]
    assert scheduler.run_at(earlier + timedelta(seconds=6)) == ["sweep"]


@pytest.mark.parametrize("name, task", [("sweep", tasks.sweep), ("watch", tasks.watch), ("purge", tasks.purge)])
def test_a_worker_takes_what_beat_sends_even_if_its_clock_is_ahead(name: str, task: "Task[[], None]") -> None:
    entry: dict[str, Any] = settings.CELERY_BEAT_SCHEDULE[name]
    with time_machine.travel(NOON, tick=False):
        sent = app.amqp.as_task_v2(uuid(), entry["task"], **entry["options"])

    message = Message(headers=sent.headers)
    request = Request(message, body=sent.body, decoded=True, app=app, task=task)
    with time_machine.travel(NOON + timedelta(seconds=45), tick=False):
        assert not request.maybe_expire()
    with time_machine.travel(NOON + timedelta(hours=2), tick=False):
        assert request.maybe_expire()
