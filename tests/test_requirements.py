"""What is installed: pinned packages, each with its hashes, in what people run and in what they test the same."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "requirements"
PIN = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?==(?P<version>[\w.+!-]+)")


def pins(name: str) -> dict[str, str]:
    """Return the versions by package; raise AssertionError for a line that pins none, or has no hash."""
    text = (FOLDER / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        requirement = line.partition(" #")[0].strip()
        if not requirement or requirement.startswith("#"):
            continue
        pin, *options = requirement.split()
        pinned = PIN.fullmatch(pin)
        assert pinned, f"{name} pins no version: {pin}"
        assert options, f"{name} has no hash of {pin}"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", option) for option in options), f"{name}: {pin}"
        found[pinned["name"]] = pinned["version"]
    return found


@pytest.mark.parametrize("name", ["base.txt", "dev.txt"])
def test_every_package_is_pinned_with_its_hashes(name: str) -> None:
    assert "django" in pins(name)


def test_what_is_tested_is_what_runs() -> None:
    tested = pins("dev.txt")
    assert {name: tested.get(name) for name in pins("base.txt")} == pins("base.txt")


@pytest.mark.parametrize("name", ["base", "dev"])
def test_what_is_asked_for_is_pinned(name: str) -> None:
    asked = re.findall(r"^([A-Za-z][\w.-]*)", (FOLDER / f"{name}.in").read_text(), re.MULTILINE)
    assert asked
    assert {package.lower() for package in asked} <= pins(f"{name}.txt").keys()
