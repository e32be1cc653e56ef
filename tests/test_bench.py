import subprocess
import sys

from tests.bench.__main__ import summary
from tests.servers import PROJECT


def test_a_summary_is_in_milliseconds() -> None:
    assert summary([0.001 * number for number in range(50, 0, -1)]) == {
        "median_ms": 25.5,
        "p99_ms": 50.0,
        "max_ms": 50.0,
    }


def test_an_unknown_scenario_is_named() -> None:
    bench = subprocess.run(
        [sys.executable, "-m", "tests.bench", "no_such"], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )

    assert bench.returncode == 1
    assert bench.stderr == "There is no scenario no_such. There are: latency_idle.\n"
