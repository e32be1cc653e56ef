import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import pages, report
from tests.bench.__main__ import choose
from tests.bench.limit import BODY_BYTES, envelope, headers
from tests.bench.scenarios import SCENARIOS, Bar, summary
from tests.servers import PROJECT
from webhooks.signing import verify_standard, verify_wink

LINE = {
    "scenario": "throughput_2",
    "deliveries_per_s": 5000,
    "limit_per_s": 8000,
    "share": 0.62,
    "took_s": 40,
    "date": "2026-11-24",
}
MISSED = {"scenario": "fan_out", "last_arrival_s": 1.2, "took_s": 9, "date": "2026-11-25"}


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
    assert bench.stderr == f"There is no scenario no_such. There are: {', '.join(SCENARIOS)}.\n"


def test_scenarios_with_millions_of_rows_run_only_by_name() -> None:
    assert {"due_1m", "finished_10m"}.isdisjoint(choose([]))
    assert choose(["finished_10m", "due_1m"]) == ["due_1m", "finished_10m"]


def test_every_page_of_the_portal_is_measured() -> None:
    assert pages.without_visits() == set()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_in_one_line_what_it_measures(name: str) -> None:
    assert SCENARIOS[name].title.endswith((".", ":", ","))


@pytest.mark.parametrize(
    "bar, figure, is_met",
    [
        (Bar("share", least=0.5), 0.5, True),
        (Bar("share", least=0.5), 0.49, False),
        (Bar("p99_ms", most=100), 100, True),
        (Bar("p99_ms", most=100), 100.1, False),
    ],
)
def test_a_bar_is_met_by_the_figure_it_names(bar: Bar, figure: float, is_met: bool) -> None:
    assert bar.is_met(figure) is is_met


def test_the_table_has_each_figure_beside_its_bar() -> None:
    assert report.text_table([LINE, MISSED]).splitlines() == [
        "Scenario      Figure            Measured  Bar                  Date",
        "throughput_2  deliveries_per_s     5,000                       2026-11-24",
        "              limit_per_s          8,000",
        "              share                 0.62  0.5 or more  met",
        "fan_out       last_arrival_s         1.2  1 or less    missed  2026-11-25",
    ]


def test_the_page_has_the_table_and_the_lines_as_printed(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"

    report.write_page([LINE], page)

    text = page.read_text()
    assert "| throughput_2 | deliveries_per_s | 5,000 |  |  | 2026-11-24 |" in text
    assert "|  | share | 0.62 | 0.5 or more | met |  |" in text
    assert f"```json\n{json.dumps(LINE)}\n```" in text


def test_the_page_keeps_figures_of_scenarios_that_did_not_run(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    report.write_page([MISSED], page)

    report.write_page([LINE], page)

    assert report.read_lines(page.read_text()) == [LINE, MISSED]


def test_the_page_keeps_no_figures_of_another_machine(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    report.write_page([MISSED], page)
    page.write_text(page.read_text().replace("| Memory | ", "| Memory | 1"))

    report.write_page([LINE], page)

    assert report.read_lines(page.read_text()) == [LINE]


def test_the_page_keeps_no_figures_of_scenarios_that_are_gone(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    report.write_page([LINE], page)
    page.write_text(page.read_text().replace('"throughput_2"', '"throughput_3"'))

    assert report.read_lines(page.read_text()) == []


def test_the_page_keeps_what_was_written_by_hand_at_its_end(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    report.write_page([MISSED], page)
    notes = f"{report.NOTES_HEADING}\nMost of the time goes into signing.\n"
    page.write_text(page.read_text() + notes)

    report.write_page([LINE], page)
    report.write_page([LINE], page)

    assert page.read_text().endswith("```\n" + notes)


def test_the_page_in_the_documentation_has_its_figures_from_its_lines() -> None:
    text = report.PAGE.read_text()

    assert report.markdown_table(report.read_lines(text)) in text


def test_the_limit_signs_a_body_of_one_kilobyte_as_the_engine_does() -> None:
    body = envelope()
    fields = [line.partition(":") for line in headers("01a20bb4", body)]
    signed = {name.lower(): value.strip() for name, _, value in fields}

    assert len(body) == BODY_BYTES
    secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    verify_wink(secret, signed, body)
    verify_standard(secret, signed, body)
