"""The command line as a person or a script meets it: real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest

from rag_rec import ItemIndex, LiveIndex, RecommendationList
from rag_rec.testing import ChatServer, first_labels

RAG_REC = [sys.executable, "-m", "rag_rec.cli"]


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*RAG_REC, *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "120", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=280, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    "command", [(), ("inspect",), ("index",), ("recommend",), ("show",), ("demo",)]
)
def test_help_teaches(command: tuple[str, ...]) -> None:
    assert "Usage" in run(*command, "--help").stdout


def test_constraints_and_list_types(hash_index_folder: Path) -> None:
    who = ("recommend", "--index", hash_index_folder, "--user", "user-042", "--llm", "none")
    tea = json.loads(run(*who, "--where", "price<=20 and category=Tea", "--json").stdout)
    assert tea["items"]
    few = run(*who, "--where", 'category="Green Tea"', "--relax", "category")
    assert "does not keep to: category" in few.stdout
    wrong = run(*who, "--where", "price<=cheap", code=1)
    assert wrong.stderr.strip().endswith(
        "'cheap' is not a price; write a number such as 20 or 12.50"
    )
    assert "near it: teapots" in run(*who, "--where", "category=teapot", code=1).stderr
    bundle = ("--type", "bundle", "--slot", "category=Teapots", "--slot", "category=Tea")
    document = json.loads(run(*who, *bundle, "--budget", 80, "--json").stdout)
    assert document["slots"] == ["category=Teapots", "category=Tea"]
    assert document["total_price"] <= 80
    assert "order score" in run(*who, "--type", "sequence", "--k", 3).stdout
    assert "2 rows" in run(*who, "--type", "slate", "--rows", 2, "--k", 2).stdout
    assert "go with --type bundle" in run(*who, "--budget", 9, code=2).stderr
    assert "give --where, too" in run(*who, "--relax", "price", code=2).stderr


def test_json_is_one_document_that_keeps_the_published_schema(real_index_folder: Path) -> None:
    done = run(
        "recommend",
        "--index",
        real_index_folder,
        "--user",
        "user-042",
        "--k",
        4,
        "--llm",
        "none",
        "--json",
    )
    document = json.loads(done.stdout)
    assert list(document) == [
        "user_id",
        "outcome",
        "items",
        "repairs",
        "usage",
        "run_id",
        "error",
        "shortfall",
        "understood",
    ]
    assert {"rank", "item_id", "title", "score", "reason", "origin", "sources"} <= set(
        document["items"][0]
    )
    assert len(document["items"]) == 4
    schema = json.loads(
        (Path(__file__).parents[2] / "docs" / "recommendation-list.schema.json").read_text()
    )
    jsonschema.validate(document, schema)
    assert schema == RecommendationList.model_json_schema(mode="serialization")
    assert "no model asked" in done.stderr


def test_a_table_for_people(real_index_folder: Path) -> None:
    done = run("recommend", "--index", real_index_folder, "--profile", "green tea", "--k", 2)
    assert "Close to what was asked for." in done.stdout


def test_recommend_through_a_server(real_index_folder: Path, server: ChatServer) -> None:
    llm = f"openai:scripted@{server.url}"
    done = run(
        "recommend",
        "--index",
        real_index_folder,
        "--history",
        "tea-009, kit-001",
        "--llm",
        llm,
        "--k",
        3,
        "--json",
    )
    document = json.loads(done.stdout)
    assert document["outcome"] == "ok"
    assert document["usage"]["calls"] == len(server.requests) == 1
    assert len(json.loads(first_labels(server.requests[0]))["items"]) == 3


def test_exclude_is_obeyed(real_index_folder: Path) -> None:
    base = ("recommend", "--index", real_index_folder, "--user", "user-042", "--k", 3, "--json")
    first = json.loads(run(*base).stdout)["items"]
    gone = first[0]["item_id"]
    second = json.loads(run(*base, "--exclude", gone).stdout)["items"]
    assert [item["item_id"] for item in second[:2]] == [item["item_id"] for item in first[1:]]


def test_show(real_index_folder: Path) -> None:
    index = ("show", "--index", real_index_folder)
    assert "all-MiniLM-L6-v2" in run(*index).stdout
    item = json.loads(run(*index, "--item", "tea-009", "--json").stdout)
    assert item["item_id"] == "tea-009"
    assert len(item["reviews"]) >= 3
    assert len(item["nearest"]) == 5
    user = json.loads(run(*index, "--user", "user-042", "--json").stdout)
    assert user["events"][0]["title"]
    prompt = json.loads(run(*index, "--prompt-for", "user-042", "--json").stdout)
    assert prompt["exact"] is True
    assert "<candidates>" in prompt["messages"][-1]["content"]
    assert "<candidates>" in run(*index, "--prompt-for", "user-042").stdout


def test_index_from_files_and_update(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("code,title\na,green tea\nb,cup\n")
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id\nu,a\n")
    command = (
        "index",
        "--items",
        items,
        "--interactions",
        log,
        "--out",
        tmp_path / "shop",
        "--columns",
        "items.item_id=code",
    )
    done = run(*command, "--json")
    assert json.loads(done.stdout)["n_items"] == 2
    assert "2 texts embedded" in done.stderr
    items.write_text("code,title\na,green tea\nb,cup\nc,pot\n")
    assert "1 texts embedded" in run(*command).stderr
    done = run("recommend", "--index", tmp_path / "shop", "--user", "u", "--json")
    assert {item["item_id"] for item in json.loads(done.stdout)["items"]} == {"b", "c"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("recommend", "--index", "nowhere", "--user", "u"),
            1,
            "error: no index at nowhere; build one with",
        ),
        (("recommend", "--user", "u"), 2, "Missing option"),
        (
            ("recommend", "--index", "x", "--k", "0"),
            2,
            "Input should be greater than or equal to 1",
        ),
        (
            ("index", "--items", "nowhere.csv", "--out", "x"),
            1,
            "error: nowhere.csv: there is no such file",
        ),
        (("index", "--out", "x"), 1, "error: nothing to read"),
        (("index", "--sample", "--items", "x.csv"), 2, "--sample stands alone"),
        (
            ("index", "--items", "x.csv", "--columns", "title=x"),
            1,
            "error: --columns title=x: write it as",
        ),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_errors_are_one_clear_line(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = run(*arguments, code=code)
    assert message in " ".join(done.stderr.split())
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1


def test_more_errors_on_a_built_index(real_index_folder: Path) -> None:
    base = ("recommend", "--index", real_index_folder)
    for arguments, code, message in [
        (("--user", "nobody"), 1, "no user 'nobody'"),
        ((), 2, "name the user"),
        (("--user", "user-042", "--llm", "gpt"), 1, "unknown model 'gpt'"),
        (
            ("--user", "user-042", "--llm", "local", "--prompt", "nope"),
            1,
            "no prompt variant 'nope'",
        ),
    ]:
        assert message in run(*base, *arguments, code=code).stderr


def test_debug_shows_the_traceback() -> None:
    command = [*RAG_REC, "--debug", "recommend", "--index", "nowhere", "--user", "u"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "Traceback" in done.stderr


def test_live_changes_are_said_and_put_in(real_index_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(real_index_folder, tmp_path / "index"))
    assert (
        "no live changes, so it stays as it is" in run("index", "--update", "--out", folder).stderr
    )
    with closing(LiveIndex.open(folder)) as index:
        index.record("newcomer", index.item_ids[0])
    said = "1 live changes since this version was built; rag-rec index --update"
    assert said in run("show", "--index", folder).stderr
    users = tmp_path / "users.csv"
    users.write_text("user_id\nuser-042\n")
    batch = ("batch", "run", "--index", folder, "--users", users, "--llm", "none")
    assert "1 live changes are not in a batch" in run(*batch, "--out", tmp_path / "o.jsonl").stderr
    done = run("index", "--update", "--out", folder)
    assert "live changes put in: 1 events, 0 items put, 0 removed" in done.stderr
    assert ItemIndex.open(folder).has_user("newcomer")
    other = run("index", "--update", "--embedder", "another", "--out", folder, code=2)
    assert "--update keeps the embedder of the index" in other.stderr
    refused = run("index", "--update", "--sample", "--out", folder, code=2)
    assert "--update stands alone" in refused.stderr
