"""How many requests a webhook may have in flight, over all processes of a host."""

import fcntl
import os
from collections import defaultdict
from functools import cache
from pathlib import Path

from django.conf import settings

MOST_SLOTS = 1024
GOLDEN_RATIO = 0.618034
# Locking for each request would take a tenth of the time that it takes to send it.
MOST_TURNS = 10


class Slots:
    """Places for requests, `per_webhook` for each webhook, shared through byte locks on the file at `path`.

    The kernel gives back what a process held when it dies. Such a lock belongs to the whole process, and all of them go
    when it closes the file anywhere: so there is one instance in a process, and it is never closed.
    """

    def __init__(self, path: Path, per_webhook: int) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Processes try them in orders of their own, so that they seldom try what another one has: multiples of the
        # golden ratio lie far apart, and the processes of a worker are numbered one after the other.
        begin = int(os.getpid() * GOLDEN_RATIO % 1 * per_webhook)
        self._order: list[int] = [*range(begin, per_webhook), *range(begin)]
        # How many requests each slot has had since it was locked.
        self._held: dict[int, int] = {}
        self._kept: defaultdict[str, list[int]] = defaultdict(list)

    def take(self, webhook_id: str) -> int | None:
        """Take a slot of the webhook; return it, or None where all are taken."""
        if kept := self._kept[webhook_id]:
            return kept.pop()
        first = _first_slot(webhook_id)
        for place in self._order:
            slot = first + place
            if slot not in self._held and self._lock(slot):
                self._held[slot] = 0
                return slot
        return None

    def keep(self, webhook_id: str, slot: int) -> None:
        """Have the slot ready for the next request to the webhook, unless it is another process's turn."""
        self._held[slot] += 1
        if self._held[slot] < MOST_TURNS:
            self._kept[webhook_id].append(slot)
        else:
            self.give_back(slot)

    def give_back_kept(self) -> None:
        for slots in self._kept.values():
            while slots:
                self.give_back(slots.pop())

    def give_back(self, slot: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, slot)
        del self._held[slot]

    def _lock(self, slot: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        except BlockingIOError:
            return False
        return True


def _first_slot(webhook_id: str) -> int:
    # The low bits of a UUIDv7 are random: two webhooks that share slots are not to be expected.
    return int(webhook_id[-12:], 16) * MOST_SLOTS


@cache
def _slots_of_process(pid: int, per_webhook: int) -> Slots:
    return Slots(settings.VAR_DIR / "in-flight.lock", per_webhook)


def process_slots() -> Slots:
    """Return the slots of this process; a fork, which inherits no lock, gets its own."""
    return _slots_of_process(os.getpid(), settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK)
