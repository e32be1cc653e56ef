import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "audit.py"
WELL: dict[str, Any] = {"name": "django", "version": "5.2", "vulns": []}
ILL: dict[str, Any] = {"name": "old", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
UNKNOWN: dict[str, Any] = {"name": "unknown", "skip_reason": "not found"}


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "packages, status, said",
    [
        ([WELL], 0, ""),
        ([WELL, UNKNOWN], 0, "Not looked up: unknown\n"),
        ([WELL, ILL], 1, "old 1: PYSEC-1, fixed in 2\n"),
    ],
)
def test_it_fails_for_what_is_known_to_be_vulnerable(
    audit: ModuleType,
    capsys: pytest.CaptureFixture[str],
    packages: list[dict[str, Any]],
    status: int,
    said: str,
) -> None:
    assert audit.report(packages) == status
    assert capsys.readouterr().out == said


def test_a_database_that_knows_nothing_counts_as_skipped(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report([UNKNOWN]) == 0
    assert capsys.readouterr().out.startswith("SKIPPED: ")


@pytest.mark.parametrize("written", ["echo 'ConnectionError: no route' >&2; exit 1", "exec sleep 5"])
def test_a_database_that_does_not_answer_is_skipped_with_the_reason(
    audit: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    written: str,
) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\n{written}\n")
    program.chmod(0o755)
    monkeypatch.setattr(audit, "PIP_AUDIT", program)
    monkeypatch.setattr(audit, "LONGEST_SECONDS", 0.5)
    audit.main()
    said = capsys.readouterr().out
    assert said.startswith("SKIPPED: ")
    assert "no route" in said or "no end within 0.5 s" in said
