"""Benchmarks: `python -m tests.bench [SCENARIOS]` prints a line of JSON for each scenario."""

import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.stack import Stack

ANNOUNCEMENTS = 50


def latency_idle() -> dict[str, float]:
    """From an announcement to its arrival, one at a time, on the embedded stack: SQLite and embedded Valkey."""
    with tempfile.TemporaryDirectory(prefix="winkhooks-bench-") as folder, Stack(Path(folder)) as stack:
        return summary(stack.call_by_name("tests.bench.latency:announce_one_at_a_time", ANNOUNCEMENTS))


def summary(seconds: Sequence[float]) -> dict[str, float]:
    milliseconds = sorted(1000 * each for each in seconds)
    return {
        "median_ms": round(statistics.median(milliseconds), 1),
        # By nearest rank.
        "p99_ms": round(milliseconds[math.ceil(0.99 * len(milliseconds)) - 1], 1),
        "max_ms": round(milliseconds[-1], 1),
    }


SCENARIOS: dict[str, Callable[[], dict[str, float]]] = {scenario.__name__: scenario for scenario in (latency_idle,)}


def main(names: Sequence[str]) -> None:
    unknown = sorted(set(names) - SCENARIOS.keys())
    if unknown:
        sys.exit(f"There is no scenario {', '.join(unknown)}. There are: {', '.join(SCENARIOS)}.")
    for name in names or SCENARIOS:
        sys.stdout.write(json.dumps({"scenario": name, **SCENARIOS[name]()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
