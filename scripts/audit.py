"""Says which pinned packages have known vulnerabilities.

First the advisories of advisories.toml, which need no network; then pip-audit asks PyPI's database
about every package of requirements.lock. Exit 0: all were checked, and what was found is explained
in advisories.toml. 1: something affected is installed. 3: the database cannot be reached, and
nothing newer than advisories.toml was checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
ADVISORIES, LOCK = ROOT / "scripts" / "advisories.toml", ROOT / "requirements.lock"


def advisories() -> list[dict[str, str]]:
    """Return the advisories that were looked up by hand."""
    return tomllib.loads(ADVISORIES.read_text(encoding="utf-8"))["advisory"]


def pins() -> dict[str, str]:
    """Return the pinned version of each package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return dict(line.split("==") for line in lines)


def known_faults() -> list[str]:
    """Say what the advisories mean for the pins; return those that nothing explains."""
    faults: list[str] = []
    for one in advisories():
        version = pins()[one["package"]]
        if version not in SpecifierSet(one["affected"]):
            print(f"{one['id']}: {one['package']} {version} is not affected ({one['affected']})")
        elif "remains" in one:
            print(f"{one['id']}: {one['package']} {version} remains. {one['remains']}")
        else:
            faults.append(f"{one['id']}: {one['package']} {version} is affected: {one['what']}")
    return faults


def asked(lock: str) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package of a lock."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(lock)
        file.flush()
        options = ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
        command = [sys.executable, "-m", "pip_audit", *options, "--requirement", file.name]
        done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        return [{"name": "pip-audit", "skip_reason": done.stderr.strip().splitlines()[-1]}]
    return json.loads(done.stdout)["dependencies"]


def skipped(found: list[dict[str, Any]]) -> list[str]:
    """Return the reasons for which packages were not checked."""
    return [package["skip_reason"] for package in found if "skip_reason" in package]


def main() -> int:
    """Print the findings and return the exit status."""
    faults = known_faults()
    explained = {one["id"] for one in advisories() if "remains" in one}
    lock = LOCK.read_text(encoding="utf-8")
    first, _, _ = lock.partition("\n" + list(pins())[1] + "==")
    found = asked(first)  # tells whether the database answers, before all others are asked about
    if not skipped(found):
        found = asked(lock)
    for package in found:
        for one in package.get("vulns", ()):
            if explained.isdisjoint({one["id"], *one["aliases"]}):
                faults.append(f"{one['id']}: {package['name']} {package['version']} is affected")
    for fault in faults:
        print(fault)
    if unchecked := skipped(found):
        print(
            f"not checked: PyPI's database did not answer ({unchecked[0]}). Nothing newer than "
            f"{ADVISORIES.name} is known; run this where it can be reached."
        )
    return 1 if faults else 3 if unchecked else 0


if __name__ == "__main__":
    sys.exit(main())
