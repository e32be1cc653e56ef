"""Fail where a pinned package has a known vulnerability; where the database of them cannot be asked, say so.

pip-audit itself ends well where the index answers and knows nothing of vulnerabilities: it then passes over all.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent
PIP_AUDIT = Path(sys.executable).parent / "pip-audit"
REQUIREMENTS = BASE_DIR / "requirements" / "dev.txt"
ANSWER_SECONDS = 5
LONGEST_SECONDS = 120


def main() -> None:
    command = [str(PIP_AUDIT), "-r", str(REQUIREMENTS), "--no-deps", "--disable-pip", "--format", "json"]
    options = ["--timeout", str(ANSWER_SECONDS), "--progress-spinner", "off"]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        say_skipped(f"no end within {LONGEST_SECONDS} s")
        return
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        say_skipped(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer")
        return
    sys.exit(report(packages))


def report(packages: list[dict[str, Any]]) -> int:
    """Print what was found out about the packages; return 1 where one is vulnerable, otherwise 0."""
    looked_at = [package for package in packages if "skip_reason" not in package]
    if not looked_at:
        say_skipped("it knows none of the packages")
        return 0
    if left_out := [package["name"] for package in packages if "skip_reason" in package]:
        print(f"Not looked up: {', '.join(left_out)}")
    vulnerable = [package for package in looked_at if package["vulns"]]
    for package in vulnerable:
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    return int(bool(vulnerable))


def say_skipped(reason: str) -> None:
    print(f"SKIPPED: the database of known vulnerabilities cannot be asked ({reason}). Nothing was audited.")


if __name__ == "__main__":
    main()
