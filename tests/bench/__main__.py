"""Benchmarks: `python -m tests.bench [SCENARIOS]` prints a line of JSON for each scenario, and a table at the end.

Without names it runs all that take less than five minutes together. It writes docs/benchmarks.md too, where the figures
of scenarios that did not run are kept.
"""

import json
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.bench import report
from tests.bench.ground import NGINX, Ground
from tests.bench.scenarios import SCENARIOS

NEED_NO_NGINX = {"latency_idle", "announce", "latency_100", "pages_1m"}


def main(names: Sequence[str]) -> None:
    chosen = choose(names)
    if not NGINX.exists() and not NEED_NO_NGINX.issuperset(chosen):
        sys.exit(
            f"The receiver of the benchmarks is nginx, and {NGINX} is not there: `apt-get install nginx-light` brings"
            f" it. Without it there are: {', '.join(sorted(NEED_NO_NGINX))}."
        )
    # As with Ctrl-C, what was started is ended and removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lines, failed = [], []
    with Ground() as ground:
        for name in chosen:
            try:
                line = run(name, ground)
            except Exception:
                # The figures of the others took minutes.
                traceback.print_exc()
                failed.append(name)
                continue
            write(json.dumps(line))
            lines.append(line)
    write("")
    write(report.text_table(lines))
    report.write_page(lines)
    if failed:
        sys.exit(f"These scenarios failed: {', '.join(failed)}.")


def choose(names: Sequence[str]) -> list[str]:
    """Return the scenarios to run, in their order; exit where one is unknown."""
    unknown = sorted(set(names) - SCENARIOS.keys())
    if unknown:
        sys.exit(f"There is no scenario {', '.join(unknown)}. There are: {', '.join(SCENARIOS)}.")
    return [name for name, scenario in SCENARIOS.items() if (name in names if names else not scenario.by_name_only)]


def run(name: str, ground: Ground) -> dict[str, Any]:
    started = time.monotonic()
    figures = SCENARIOS[name].measure(ground)
    took_s = round(time.monotonic() - started)
    return {"scenario": name, **figures, "took_s": took_s, "date": datetime.now(UTC).date().isoformat()}


def write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
