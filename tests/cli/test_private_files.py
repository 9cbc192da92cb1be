"""Whatever a command leaves of users, prompts and replies is for its owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_tools import write_users
from typer.testing import CliRunner

from rag_rec.cli.app import app
from rag_rec.testing import ChatServer

EXPERIMENT = """
name = "Private"
ks = [5]
metric = "ndcg@5"

[data]
sample = true

[split]
users = 6
validation_users = 0

[pipeline]
k = 5

[matrix]
models = ["{llm}"]
prompts = ["plain"]
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no modes there")


@pytest.fixture(autouse=True)
def _open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def run(*arguments: object) -> None:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code in {0, 3}, f"{done.output}{done.exception!r}"


def _modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_batches_exports_and_conversions(
    hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    users = write_users(
        tmp_path / "users.jsonl",
        [{"user_id": f"u{n}", "history": ["tea-001", "tea-002"]} for n in range(4)]
        + [{"user_id": "nobody"}],
    )
    users.chmod(0o644)
    out = tmp_path / "out"
    out.mkdir()
    llm = f"openai:scripted@{server.url}"
    shared = ("--index", hash_index_folder, "--users", users, "--llm", llm)
    run("batch", "run", *shared, "--out", out / "recs.jsonl", "--cache", out / "cache.db")
    run("batch", "export", *shared, "--out", out / "requests")
    for ending in ("csv", "parquet"):
        run("batch", "convert", out / "recs.jsonl", "--out", out / f"recs.{ending}")
    found = _modes(out)
    assert {"recs.jsonl", "recs.failures.jsonl", "cache.db", "recs.csv", "recs.parquet"} <= set(
        found
    )
    assert len([name for name in found if name.startswith("requests")]) >= 2
    assert {name: oct(mode) for name, mode in found.items() if mode != 0o600} == {}


def test_reports(tmp_path: Path, server: ChatServer) -> None:
    experiment = tmp_path / "experiment.toml"
    experiment.write_text(EXPERIMENT.format(llm=f"openai:scripted@{server.url}"))
    out = tmp_path / "report"
    run("evaluate", "run", experiment, "--out", out)
    found = _modes(out)
    assert {"report.json", "report.md", "report.html", "users.parquet"} <= set(found)
    no_people = ("index/", "prompts/")  # the catalog, and templates
    ours = {name: oct(mode) for name, mode in found.items() if not name.startswith(no_people)}
    assert {name: mode for name, mode in ours.items() if mode != "0o600"} == {}
