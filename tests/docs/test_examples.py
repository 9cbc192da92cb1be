"""Every Python example of README and documentation runs; every command that they show exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from rag_rec.cli import app
from rag_rec.data import FORMATS
from rag_rec.evaluation import METRICS, RETRIEVERS
from rag_rec.list_types import LIST_TYPES
from rag_rec.llm import BACKENDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture(autouse=True)
def _registries_as_shipped() -> Iterator[None]:
    """Take out again what an example registers, so that no later test meets it."""
    registries: list[dict[str, Any]] = [BACKENDS, FORMATS, LIST_TYPES, METRICS, RETRIEVERS]
    before = [dict(registry) for registry in registries]
    yield
    for registry, shipped in zip(registries, before, strict=True):
        registry.clear()
        registry.update(shipped)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_the_python_examples_run(
    page: Path, real_index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples of one page share their names and run in order, beside the index of the demo."""
    (tmp_path / "indexes").mkdir()
    (tmp_path / "indexes" / "demo").symlink_to(real_index_folder)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, code in enumerate(blocks(page, "python"), 1):
        exec(compile(code, f"{name_of(page)}, example {number}", "exec"), names)  # noqa: S102


def commands(page: Path) -> list[list[str]]:
    """The words of each command in the shell examples of a page; comments are left out."""
    lines = [
        line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").split("\n")
    ]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("page", pages_with("sh"), ids=name_of)
def test_the_shell_examples_are_known_commands(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))) <= targets
    for words in commands(page):
        while "=" in words[0]:  # variables of the environment
            words = words[1:]
        if words[0] == "make":
            assert words[1] in targets, words
        elif words[0] == "rag-rec":
            check_command(words[1:])
        else:
            assert words[0] in {"git", "pre-commit", "python", "time"}, words


def check_command(words: list[str]) -> None:
    """The words name a command of the app and only options that it has."""
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        found = command.get_command(typer.Context(command), words[0])
        assert found is not None, words
        command, words = found, words[1:]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used <= known, f"{command.name}: {used - known}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_it_links_to_is_there(page: Path) -> None:
    links = {link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link}
    missing = {link for link in links if not (page.parent / link).exists()}
    assert missing == set()


def test_no_path_of_a_machine_is_committed() -> None:
    for path in [*PAGES, *ROOT.glob("rag_rec/**/*.py")]:
        assert not re.search(r"/(root|home|work)/", path.read_text(encoding="utf-8")), path
