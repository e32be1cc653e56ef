import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from webhooks.engine.slots import MOST_TURNS, Slots
from winkhooks.uuid7 import uuid7_text

HOLD = """
import sys, time
from pathlib import Path
from webhooks.engine.slots import MOST_TURNS, Slots
slots = Slots(Path(sys.argv[1]), 3)
print([slots.take(sys.argv[2]) is not None for _ in range(4)].count(True), flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slots"


def test_a_webhook_has_as_many_as_its_cap(path: Path) -> None:
    slots, webhook_id = Slots(path, 3), uuid7_text()
    taken = [slots.take(webhook_id) for _ in range(4)]
    assert None not in taken[:3]
    assert taken[3] is None


def test_webhooks_have_slots_of_their_own(path: Path) -> None:
    slots = Slots(path, 1)
    assert all(slots.take(uuid7_text()) is not None for _ in range(100))


def test_a_slot_that_was_given_back_can_be_taken(path: Path) -> None:
    slots, webhook_id = Slots(path, 1), uuid7_text()
    slot = slots.take(webhook_id)
    assert slot is not None
    slots.give_back(slot)
    assert slots.take(webhook_id) == slot


def holder(path: Path, webhook_id: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), webhook_id],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "winkhooks.settings", "PYTHONPATH": os.getcwd()},
    )


def test_they_hold_over_processes_and_come_back_when_one_is_killed(path: Path) -> None:
    slots, webhook_id = Slots(path, 3), uuid7_text()
    first = slots.take(webhook_id)
    assert first is not None
    with holder(path, webhook_id) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "2\n"
            assert slots.take(webhook_id) is None
            assert slots.take(uuid7_text()) is not None
            other.send_signal(signal.SIGKILL)
            other.wait(10)
            assert slots.take(webhook_id) is not None
        finally:
            other.kill()


def test_a_slot_that_is_kept_is_there_for_the_next_request_to_its_webhook_only(path: Path) -> None:
    slots, webhook_id = Slots(path, 1), uuid7_text()
    slot = slots.take(webhook_id)
    assert slot is not None
    slots.keep(webhook_id, slot)
    assert slots.take(uuid7_text()) != slot
    assert slots.take(webhook_id) == slot
    assert slots.take(webhook_id) is None


def test_what_was_kept_can_be_given_back(path: Path) -> None:
    slots, webhook_id = Slots(path, 2), uuid7_text()
    first, second = slots.take(webhook_id), slots.take(webhook_id)
    assert first is not None
    assert second is not None
    slots.keep(webhook_id, first)
    slots.give_back_kept()
    with holder(path, webhook_id) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "2\n"  # all but the second one
        finally:
            other.kill()


def test_a_slot_is_not_kept_for_ever(path: Path) -> None:
    slots, webhook_id = Slots(path, 1), uuid7_text()
    slot = slots.take(webhook_id)
    for _ in range(MOST_TURNS):
        assert slot is not None
        slots.keep(webhook_id, slot)
        slot = slots.take(webhook_id)
    # It was taken anew: in between another process could have had it.
    with holder(path, webhook_id) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "2\n"
        finally:
            other.kill()
