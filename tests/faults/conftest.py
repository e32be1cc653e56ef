import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import COMMAND_SECONDS
from tests.stack import Stack
from webhooks.engine import drain

WEBHOOK_IN_FLIGHT = 100
WEBHOOK_IN_FLIGHT_PER_WEBHOOK = 10
# What a process has in flight, or answered and not recorded yet, and would send again if it died.
UNDER_WAY = drain.UNDER_WAY * WEBHOOK_IN_FLIGHT
# Leases run out soon, so that what a killed process had comes back soon.
TIMEOUT_SECONDS = "5"
LEASE_SECONDS = "15"
# Recording an answer may have to wait 20 s for the file, and must not outlast the lease.
SQLITE_LEASE_SECONDS = "30"


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory, postgres: str | None) -> Iterator[Stack]:
    """A stack without pages, whose leases run out soon. Each test leaves all its programs running."""
    with Stack(
        tmp_path_factory.mktemp("engine"),
        postgres=postgres,
        web=False,
        command_seconds=COMMAND_SECONDS,
        WEBHOOK_IN_FLIGHT=str(WEBHOOK_IN_FLIGHT),
        WEBHOOK_IN_FLIGHT_PER_WEBHOOK=str(WEBHOOK_IN_FLIGHT_PER_WEBHOOK),
        WEBHOOK_TIMEOUT_SECONDS=TIMEOUT_SECONDS,
        WEBHOOK_LEASE_SECONDS=LEASE_SECONDS if postgres else SQLITE_LEASE_SECONDS,
    ) as engine:
        yield engine


class ClockStack(Stack):
    """A stack whose clock can be moved, and beat killed."""

    def __init__(self, folder: Path, postgres: str | None, *, web: bool = False, **settings: Any) -> None:
        self._clock = folder / "clock"
        self._ahead = 0.0
        self._clock.write_bytes(struct.pack("d", self._ahead))
        super().__init__(
            folder,
            postgres=postgres,
            web=web,
            beat_apart=True,
            command_seconds=COMMAND_SECONDS,
            PYTHONPATH=str(Path(__file__).parent / "moved_clock"),
            TEST_CLOCK=str(self._clock),
            WEBHOOK_TIMEOUT_SECONDS=TIMEOUT_SECONDS,
            WEBHOOK_LEASE_SECONDS=LEASE_SECONDS,
            **settings,
        )

    def move_clock(self, seconds: float) -> None:
        """Move the clock of all its processes forward, or back with a negative number."""
        self._ahead += seconds
        with self._clock.open("r+b") as file:
            file.write(struct.pack("d", self._ahead))


@pytest.fixture(scope="package")
def clock_stack(tmp_path_factory: pytest.TempPathFactory, postgres: str | None) -> Iterator[ClockStack]:
    """Each test leaves its programs running, and the clock where it is."""
    with ClockStack(tmp_path_factory.mktemp("clock"), postgres) as stack:
        yield stack
