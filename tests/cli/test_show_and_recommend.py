"""`rag-rec show` and `recommend` on a built index: tables, documents, and options that clash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from rag_rec import (
    Bundle,
    ConfigError,
    DataError,
    ItemIndex,
    PlaySequence,
    RagRecError,
    Recommender,
    Slate,
    where,
)
from rag_rec.cli.app import app
from rag_rec.cli.tables import details_of, table_of
from rag_rec.core import RecommendationList


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(part) for part in arguments])


def drawn(result: RecommendationList, past: tuple[str, ...] = ()) -> str:
    console = Console(width=200)
    with console.capture() as caught:
        console.print(table_of("someone [b]", past, result))
    return caught.get()


def test_an_item_with_its_reviews_and_neighbours(
    hash_index_folder: Path, hash_index: ItemIndex
) -> None:
    document = json.loads(run("show", "--index", hash_index_folder, "--item", "tea-009",
                              "--json").stdout)  # fmt: skip
    row = hash_index.find("tea-009")
    assert row is not None
    cosines = hash_index.item_vectors @ hash_index.item_vectors[row]
    near = [entry["cosine"] for entry in document["nearest"]]
    assert near == sorted(near, reverse=True)
    assert "tea-009" not in {entry["item_id"] for entry in document["nearest"]}
    for entry in document["nearest"]:
        at = hash_index.find(entry["item_id"])
        assert at is not None
        assert entry["cosine"] == pytest.approx(float(cosines[at]), abs=0.002)
    assert document["title"] == hash_index.item(row).title
    assert len(document["reviews"]) == len(hash_index.reviews_of(row))
    text = run("show", "--index", hash_index_folder, "--item", "tea-009").stdout
    assert f"- {document['nearest'][0]['item_id']}  {document['nearest'][0]['title']}" in text


def test_a_user_and_the_manifest(hash_index_folder: Path, hash_index: ItemIndex) -> None:
    shown = run("show", "--index", hash_index_folder, "--user", "user-042", "--json")
    document = json.loads(shown.stdout)
    events = hash_index.history("user-042").events
    assert [event["item_id"] for event in document["events"]] == [e.item_id for e in events]
    titles = [hash_index.item_by_id(event.item_id).title for event in events]
    assert [event["title"] for event in document["events"]] == titles
    manifest = json.loads(run("show", "--index", hash_index_folder, "--json").stdout)
    assert manifest == hash_index.manifest.model_dump(mode="json")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (("--item", "nope"), DataError, "no item 'nope'"),
        (("--user", "nope"), DataError, "no user 'nope'"),
        (("--item", "a", "--users"), None, "give one of --item, --user, --users, --prompt-for"),
        (("--prompt-for", "user-042", "--k", "0"), None, "equal to 1"),
    ],
)
def test_show_says_what_is_wrong(
    hash_index_folder: Path, arguments: tuple[str, ...], error: type[RagRecError] | None, match: str
) -> None:
    done = run("show", "--index", hash_index_folder, *arguments)
    said = done.output if error is None else str(done.exception)
    assert match in " ".join(said.split())
    assert isinstance(done.exception, error or SystemExit)
    assert error is not None or done.exit_code == 2


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (("--anchor", "kit-001"), None, "go with --type bundle"),
        (("--slot", "category=Tea", "--type", "slate"), None, "go with --type bundle"),
        (("--rows", "2"), None, "--rows goes with --type slate"),
        (("--type", "pile"), None, "'pile' is not one of"),
        (("--type", "bundle", "--anchor", "a", "--anchor", "a"), None, "an anchor is named twice"),
        (("--type", "bundle", "--anchor", "a", "--anchor", "b", "--k", "1"), None,
         "2 anchors do not fit 1 places"),
        (("--type", "bundle", "--anchor", "nope"), DataError, "no item 'nope'"),
        (("--where", "price<=20", "--relax", "colour"), ConfigError, "colour"),
        (("--where", "colour=red"), ConfigError, "colour"),
        (("--history", "tea-009,nope"), DataError, "no item 'nope'"),
        (("--config", "nowhere.toml"), ConfigError, "nowhere.toml"),
    ],
)  # fmt: skip
def test_recommend_says_what_is_wrong(
    hash_index_folder: Path, options: tuple[str, ...], error: type[RagRecError] | None, match: str
) -> None:
    done = run("recommend", "--index", hash_index_folder, "--user", "user-042", *options)
    said = done.output if error is None else str(done.exception)
    assert match in " ".join(said.replace("│", " ").split())
    assert isinstance(done.exception, error or SystemExit)
    assert error is not None or done.exit_code == 2


def test_recommend_from_a_history_leaves_out_what_it_names(hash_index_folder: Path) -> None:
    base = ("recommend", "--index", hash_index_folder, "--history", " tea-009 ,kit-001,")
    done = run(*base, "--type", "bundle", "--anchor", "tea-001", "--anchor", "kit-002", "--json")
    ids = [item["item_id"] for item in json.loads(done.stdout)["items"]]
    assert len(ids) == 3, "the anchors and one more"
    assert {"tea-001", "kit-002"} < set(ids)
    assert not {"tea-009", "kit-001"} & set(ids)
    assert "no model asked (--llm none)" in done.stderr


def test_tables_show_the_figures_of_each_kind(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index)
    bundle = recommender.recommend("user-042", kind=Bundle(size=2, budget=60))
    total = sum(slot.item.price or 0 for slot in bundle.items)
    assert f"together {total:.2f} · compatibility " in drawn(bundle)
    durations = dict.fromkeys(hash_index.item_ids, 1.5)
    kind = PlaySequence(length=2, durations=durations)
    assert details_of(recommender.recommend("user-042", kind=kind))[0].endswith(" · takes 3")
    page = recommender.recommend("user-042", kind=Slate(rows=2, per_row=2))
    text = drawn(page)
    assert all(row.theme in text for row in page.rows)  # type: ignore[attr-defined]
    assert details_of(recommender.recommend("user-042", 1)) == []


def test_a_table_is_text_whatever_stands_in_brackets(hash_index: ItemIndex) -> None:
    asked = where("price<=1").model_copy(update={"relax": ("price",)})
    made = Recommender(hash_index).recommend("user-042", 2, constraints=asked)
    odd = made.items[0].model_copy(
        update={
            "title": "Pot [red] 2 l",
            "item": made.items[0].item.model_copy(update={"price": None}),
            "reason": "said [/b] so",
            "reason_status": "replaced",
        }
    )
    text = drawn(made.model_copy(update={"items": (odd,)}), ("One [i]", "Two"))
    for part in (
        "someone [b]", "lately: One [i]; Two", "Pot [red] 2 l", "said [/b] so",
        "(from the data; the model's reason did not hold)", "does not keep to: price",
        "retrieval order, no model asked", "2 of 2 items only qualify without: price",
    ):  # fmt: skip
        assert part in text
    assert "backfill" in text
