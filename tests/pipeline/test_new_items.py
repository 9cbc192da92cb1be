"""New items of a real index, in lists of every kind, from the library and the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from rag_rec import (
    Bundle,
    Candidate,
    Constraints,
    Dataset,
    Evidence,
    ItemIndex,
    PlaySequence,
    Recommender,
    Slate,
    TopK,
    UserHistory,
    build_index,
)
from rag_rec.cli.app import app
from rag_rec.list_types import Kind
from rag_rec.retrieval import pools
from rag_rec.testing import HashEmbedder, check_list

NEW = ("kit-003", "tea-007", "tea-011")


@pytest.fixture(scope="module")
def folder(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, three of whose items nobody has taken."""
    parts = tmp_path_factory.mktemp("new")
    sample.items.write_parquet(parts / "items.parquet")
    taken = sample.interactions.filter(~pl.col("item_id").is_in(NEW))
    taken.write_parquet(parts / "interactions.parquet")
    data = Dataset.load(items=parts / "items.parquet", interactions=parts / "interactions.parquet")
    build_index(data, parts / "index", embedder=HashEmbedder())
    return parts / "index"


@pytest.fixture(scope="module")
def index(folder: Path) -> ItemIndex:
    return ItemIndex.open(folder, HashEmbedder())


class Popular:
    """A foreign retriever that knows four items, none of them new."""

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        ids = ("tea-001", "tea-002", "kit-001", "kit-005")
        return [[Candidate(i, 1 / n, {"mine": n}) for n, i in enumerate(ids, 1)][:k]] * len(
            histories
        )

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:  # noqa: ARG002
        return {}


def test_the_index_marks_its_items(index: ItemIndex) -> None:
    taken = set(index.interactions["item_id"])
    for item_id in index.item_ids:
        assert index.item_by_id(item_id).is_new == (item_id not in taken)
    assert all(index.item_by_id(item_id).is_new for item_id in NEW)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_a_plain_list_has_its_share(index: ItemIndex, share: float) -> None:
    asked = Constraints(new_items=share)
    recommender = Recommender(index)
    for user in index.user_ids[:10]:
        result = recommender.recommend(user, 10, constraints=asked)
        history = index.history(user).model_copy(update={"constraints": asked})
        check_list(result, index, history, 10)


@pytest.mark.parametrize(
    "kind",
    [TopK(k=5), Bundle(size=5), PlaySequence(length=5), Slate(rows=2, per_row=3)],
    ids=lambda kind: type(kind).__name__,
)
def test_every_kind_of_list_keeps_the_share(index: ItemIndex, kind: Kind) -> None:
    result = Recommender(index).recommend(
        index.user_ids[0], kind=kind, constraints=Constraints(new_items=0.4)
    )
    assert len(result.items) == kind.length
    assert sum(slot.is_new for slot in result.items) >= 2


def test_what_is_missing_is_said_and_the_list_is_full(index: ItemIndex) -> None:
    new = [item_id for item_id in index.item_ids if index.item_by_id(item_id).is_new]
    asked = Constraints(new_items=0.2, exclude=frozenset(new))
    result = Recommender(index).recommend(index.user_ids[0], 10, constraints=asked)
    assert len(result.items) == 10
    assert result.shortfall == "0 of 2 new items: no more can be listed"


def test_a_foreign_retriever_gets_new_items_too(index: ItemIndex) -> None:
    user = UserHistory(constraints=Constraints(new_items=0.5))
    found = [c.item_id for c in pools(Popular(), index, [user], 4, 4)[0]]
    assert sum(index.item_by_id(item_id).is_new for item_id in found[:4]) == 2
    result = Recommender(index, retriever=Popular()).recommend(user, 4)
    assert [slot.is_new for slot in result.items] == [False, False, True, True]
    assert {slot.reason for slot in result.items if slot.is_new} == {"New in the catalog."}


def run(*arguments: object) -> str:
    runner = CliRunner(env={"COLUMNS": "160"})
    done = runner.invoke(app, [str(part) for part in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_line_marks_new_items(folder: Path, index: ItemIndex, tmp_path: Path) -> None:
    user = index.user_ids[0]
    asked = ("recommend", "--index", folder, "--user", user, "--llm", "none", "--k", 4)
    made = json.loads(run(*asked, "--new-items", 0.5, "--json"))
    marked = [slot for slot in made["items"] if slot["is_new"]]
    assert len(marked) == 2
    table = run(*asked, "--where", "new_items=0.5")
    assert sum(line.split("│")[2].rstrip().endswith(" new") for line in table.splitlines()
               if line.count("│") > 3) == 2  # fmt: skip

    (tmp_path / "users.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in (
            {"user_id": user},
            {"user_id": index.user_ids[1], "constraints": {"new_items": 0}},
        ))
    )  # fmt: skip
    files = ("--users", tmp_path / "users.jsonl", "--out", tmp_path / "out.jsonl")
    run("batch", "run", "--index", folder, *files, "--llm", "none", "--k", 4, "--new-items", 0.5)
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    n_new = {
        record["custom_id"]: sum(slot["is_new"] for slot in record["items"]) for record in records
    }
    assert n_new[user] == 2
    assert n_new[index.user_ids[1]] < 2, "a row's own constraints come first"
