"""Fuzz one target after the other, or several at a time: `python -m tests.fuzz [TARGETS] [--seconds N] [--at-once N]`.

Each has a process of its own, which is led by what its inputs reach in the code. What they reached is kept in var/fuzz,
and a later run goes on from there. `--repeat FILE TARGET` runs one input alone, without the fuzzer.
"""

import argparse
import hashlib
import os
import re
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.update(DEBUG="True", ENV_FILE=os.devnull, DATABASE_URL="sqlite://:memory:")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "winkhooks.settings")

from tests.fuzz import SEEDS, Fuzz, seeds_of, target, target_names

WORK = Path(__file__).parents[2] / "var" / "fuzz"
# Beyond the limits of what is fuzzed; longer inputs are only slower.
MOST_BYTES = 20_000


def main() -> int:
    options = _options()
    if options.repeat:
        import django

        django.setup()
        target(options.targets[0])(options.repeat.read_bytes())
        _write(f"{options.repeat} holds.")
        return 0
    if options.inside:
        _fuzz(options.targets[0], options.seconds, options.seed)
    names = options.targets or target_names()
    with ThreadPoolExecutor(options.at_once) as pool:
        held = list(pool.map(lambda name: _run(name, options.seconds, options.seed), names))
    return 0 if all(held) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", choices=[*target_names(), []], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=600, help="for each target; 600 by default")
    parser.add_argument("--at-once", type=int, default=1, help="how many targets; 1 by default")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31) + 1, help="of the fuzzer's chance")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="run the target with this input alone")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeat and len(options.targets) != 1:
        parser.error("--repeat goes with one target.")
    return options


def _run(name: str, seconds: int, seed: int) -> bool:
    """Fuzz a target in a process of its own, and say what came of it; return whether all held."""
    WORK.mkdir(parents=True, exist_ok=True)
    before = set(seeds_of(name))
    log = WORK / f"{name}.log"
    command = [sys.executable, "-m", "tests.fuzz", "--inside", f"--seconds={seconds}", f"--seed={seed}", name]
    with log.open("wb") as output:
        code = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
    text = log.read_text(errors="replace")
    runs = re.findall(r"(?:^#|Done )(\d+)", text, re.MULTILINE)
    reached = re.findall(r"cov: (\d+)", text)
    _write(f"{name}: {runs[-1] if runs else 0} runs, {reached[-1] if reached else 0} places reached, seed {seed}")
    for found in sorted(set(seeds_of(name)) - before):
        _write(f"  failed with {found}\n  repeat: python -m tests.fuzz --repeat {found} {name}")
    if code:
        _write(f"  the fuzzer ended with {code}; its output is in {log}")
    return code == 0


def _fuzz(name: str, seconds: int, seed: int) -> None:
    """Fuzz a target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["webhooks", "winkhooks", "tests.fuzz", "django.utils.http"]):
        import django

        django.setup()
        fuzz = target(name)
    reached, seeds = WORK / name, SEEDS / name
    for folder in (reached, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={MOST_BYTES}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={seeds}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(reached), str(seeds)], lambda data: _keep_what_fails(fuzz, data, seeds))
    atheris.Fuzz()


def _keep_what_fails(fuzz: Fuzz, data: bytes, seeds: Path) -> None:
    """Run one input, and put it beside the seeds where it fails.

    The fuzzer does that too, but not before Python has ended, and its own timer may kill it meanwhile.
    """
    try:
        fuzz(data)
    except BaseException:
        name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        (seeds / f"crash-{name}").write_bytes(data)
        raise


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
