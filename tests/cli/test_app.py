"""The command line's own help and version: right, and without the packages behind the commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

import rag_rec
from rag_rec.cli import app
from rag_rec.cli.app import COMMANDS
from rag_rec.index import ItemIndex

HEAVY = {"chromadb", "lightgbm", "numpy", "openai", "polars", "scipy", "torch"}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    program = (
        "import sys; from rag_rec.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print('exit', end.code, *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, option], capture_output=True, text=True, check=True
    )
    *shown, last = done.stdout.splitlines()
    assert last.startswith("exit 0 ")
    assert not HEAVY & set(last.split())
    assert rag_rec.__version__ in "\n".join(shown) or "recommend" in "\n".join(shown)


def test_a_list_is_made_without_what_only_builds_and_submits() -> None:
    program = "import sys, rag_rec.cli.recommend, rag_rec.cli.batch; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"chromadb", "lightgbm", "openai", "torch"} & set(done.stdout.split())


def test_the_line_of_help_is_the_command_s_own() -> None:
    for name, (file, line) in COMMANDS.items():
        command = typer.main.get_command(import_module(f"rag_rec.cli.{file}").app)
        own = " ".join((command.help or "").split())
        assert own.startswith(line.rstrip(".")), name


def test_every_name_of_the_package_can_be_imported() -> None:
    for name in rag_rec.__all__:
        assert getattr(rag_rec, name) is not None
    assert set(rag_rec.__all__) <= set(dir(rag_rec))


@pytest.mark.parametrize(
    "command",
    [("index",), ("recommend",), ("batch", "run"), ("batch", "export"), ("evaluate", "run")],
)
def test_help_keeps_what_stands_in_brackets(command: tuple[str, ...]) -> None:
    group = typer.main.get_command(app)
    context = typer.Context(group)
    found = group
    for name in command:
        found = found.get_command(context, name)  # pyright: ignore
    texts = " ".join(getattr(param, "help", None) or "" for param in found.params)
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "400"})
    assert result.exit_code == 0
    for bracketed in re.findall(r"\[[a-z]+\]", texts):
        assert bracketed in result.output


def test_an_unknown_command_gets_a_proposal() -> None:
    result = CliRunner().invoke(app, ["recomend"])
    assert result.exit_code == 2
    assert "recommend" in result.output


def test_users_are_listed_with_their_events(hash_index_folder: Path, hash_index: ItemIndex) -> None:
    listing = CliRunner().invoke(app, ["show", "--index", str(hash_index_folder), "--users"])
    lines = [line.split("\t") for line in listing.output.splitlines()]
    assert len(lines) == hash_index.manifest.n_users
    assert sum(int(events) for _, events in lines) == hash_index.manifest.n_interactions
    as_json = CliRunner().invoke(
        app, ["show", "--index", str(hash_index_folder), "--users", "--json"]
    )
    first = json.loads(as_json.output.splitlines()[0])
    assert [first["user_id"], str(first["events"])] == lines[0]
