"""The short form of fuzzing: all seeds, and all that was ever found, through each target; and chance for a moment."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import seeds_of, target, target_names

NAMES = target_names()


def test_each_target_has_seeds() -> None:
    assert {"envelope", "headers", "retry_after", "signature_check", "url"} <= set(NAMES)
    assert all(seeds_of(name) for name in NAMES)


@pytest.mark.parametrize(
    "name, seed", [pytest.param(name, seed, id=f"{name}-{seed.name}") for name in NAMES for seed in seeds_of(name)]
)
def test_what_was_found_holds(name: str, seed: Path) -> None:
    target(name)(seed.read_bytes())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50)
@given(data=st.binary(max_size=2000))
def test_any_bytes_hold(name: str, data: bytes) -> None:
    target(name)(data)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50)
@given(data=st.data())
def test_a_seed_that_is_changed_holds(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(seeds_of(name))).read_bytes()
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(start + 20, len(seed))))
    target(name)(seed[:start] + data.draw(st.binary(max_size=20)) + seed[end:])
