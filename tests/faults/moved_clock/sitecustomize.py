"""Lets the clock of a whole stack be moved, from outside and while it runs.

Python imports this when it starts where the folder is on its path. The file that TEST_CLOCK names holds by how many
seconds the clock is ahead. It is mapped into memory, so that all processes, forked ones too, see a move at once. As
with a real clock that is set, `time.monotonic` goes on as before.
"""

import mmap
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

import time_machine

with Path(os.environ["TEST_CLOCK"]).open("rb") as file:
    _ahead = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)


def _time_ns() -> int:
    (seconds,) = struct.unpack("d", _ahead[:8])
    return time_machine.escape_hatch.time.time_ns() + int(seconds * 1_000_000_000)


_traveller = time_machine.travel(datetime.fromtimestamp(time.time(), UTC), tick=True).start()
_traveller.time_ns = _time_ns  # type: ignore[method-assign]
