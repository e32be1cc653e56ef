"""Fuzzing of what strangers write: `python -m tests.fuzz [TARGETS] --seconds N`.

A target is a module here with `fuzz(data)`, which fails an assertion, or raises anything else, where something does not
hold for `data`. Its seeds are the files in seeds/TARGET; what a fuzzer finds is put beside them, as crash-HASH, so that
the tests try it from then on.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent
SEEDS = FOLDER / "seeds"

Fuzz = Callable[[bytes], None]


def target_names() -> list[str]:
    """Return the names of all targets: of the modules here that are neither tests nor private."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith(("_", "test_")))


def target(name: str) -> Fuzz:
    fuzz: Fuzz = import_module(f"tests.fuzz.{name}").fuzz
    return fuzz


def seeds_of(name: str) -> list[Path]:
    return sorted(path for path in (SEEDS / name).glob("*") if path.is_file())
