"""Updates: what is not given is kept, what is replaced says so, retired items teach unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag_rec import Constraints, Dataset, ItemIndex, Recommender, StaleIndex, build_index
from rag_rec.cli.index import app
from rag_rec.index import Manifest
from rag_rec.testing import HashEmbedder, check_list, check_retriever

TITLES = {"a": "kettle", "b": "cup", "c": "pot", "d": "spoon"}
EMBEDDER = HashEmbedder()


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    titles = [{"item_id": i, "title": t, "price": 5} for i, t in TITLES.items()]
    log = [{"user_id": f"u{n}", "item_id": i} for n in range(6) for i in ("ab" if n % 2 else "bc")]
    reviews = [{"item_id": i, "user_id": "u1", "text": f"<b>fine</b> {i}"} for i in "abc"]
    return {
        "items": write(tmp_path / "items.jsonl", titles),
        "interactions": write(tmp_path / "log.jsonl", log),
        "reviews": write(tmp_path / "reviews.jsonl", reviews),
    }


@pytest.fixture
def folder(files: dict[str, Path], tmp_path: Path) -> Path:
    build_index(Dataset.load(**files), tmp_path / "index", embedder=EMBEDDER)
    return tmp_path / "index"


def update(folder: Path, data: Dataset, *, replace: bool = False) -> tuple[Manifest, ItemIndex]:
    manifest, _ = build_index(data, folder, embedder=EMBEDDER, replace=replace)
    return manifest, ItemIndex.open(folder, EMBEDDER)


def catalog(files: dict[str, Path], ids: str, **fields: object) -> Path:
    rows = [{"item_id": i, "title": TITLES.get(i, "new")} | fields for i in ids]
    return write(files["items"].with_name("update.jsonl"), rows)


def counts(manifest: Manifest) -> tuple[int, int, int, int]:
    return manifest.n_items, manifest.n_retired, manifest.n_reviews, manifest.n_interactions


@pytest.mark.parametrize("table", ["items", "interactions", "reviews"])
def test_one_table_alone_keeps_the_others(folder: Path, files: dict[str, Path], table: str) -> None:
    before = ItemIndex.open(folder, EMBEDDER)
    data = Dataset.load(**{table: files[table]}, earlier_items=before.item_ids)
    manifest, index = update(folder, data)
    assert counts(manifest) == counts(before.manifest)
    assert index.items.equals(before.items)
    assert index.interactions.equals(before.interactions)
    assert index.review_texts(range(3)) == ["fine a", "fine b", "fine c"]
    assert manifest.dataset_digest == before.manifest.dataset_digest
    (line,) = [notice for notice in manifest.notices if notice.startswith("update:")]
    assert line.count("kept") == 2
    assert f"{table} replaced" in line


def test_a_deleted_item_teaches_and_is_never_listed(folder: Path, files: dict[str, Path]) -> None:
    manifest, index = update(folder, Dataset.load(items=catalog(files, "acd")))
    assert counts(manifest) == (3, 1, 3, 12)
    assert "1 items retired: they still teach and are never listed" in manifest.notices[-1]
    assert sorted(index.item_ids[:3]) == ["a", "c", "d"]
    assert index.retired.tolist() == [False, False, False, True]
    recommender = Recommender(index)
    everything = Constraints(allow_out_of_stock=True, allow_seen=True)
    for user in (*index.user_ids, ["b"], []):
        result = recommender.recommend(user, 4, constraints=everything)
        assert "b" not in {slot.item_id for slot in result.items}
        assert len(result.items) == 3
    first = recommender.recommend(["b"], 2)
    assert {slot.item_id for slot in first.items} == {"a", "c"}, "what was taken with it"
    check_list(first, index, index.history("u0").model_copy(update={"events": ()}), 2)
    check_retriever(recommender.retriever, index, [index.history("u0"), index.history("u1")])


def test_an_item_that_nothing_names_is_dropped_and_one_that_returns_is_listed(
    folder: Path, files: dict[str, Path]
) -> None:
    manifest, index = update(folder, Dataset.load(items=catalog(files, "ac")))
    assert sorted(index.item_ids[:2]) == ["a", "c"]
    assert index.retired.tolist() == [False, False, True]
    assert "1 items dropped that nothing names" in manifest.notices[-1]
    manifest, index = update(folder, Dataset.load(items=files["items"]))
    assert counts(manifest) == (4, 0, 3, 12)
    assert not index.retired.any()


def test_a_log_may_name_items_of_the_earlier_catalog(folder: Path, files: dict[str, Path]) -> None:
    earlier = ItemIndex.open(folder, EMBEDDER).item_ids
    given = {"items": catalog(files, "acdx"), "interactions": files["interactions"]}
    manifest, index = update(folder, Dataset.load(**given, earlier_items=earlier))
    assert counts(manifest) == (4, 1, 3, 12)
    assert index.items.filter(index.retired)["title"].to_list() == ["cup"]
    log = write(files["items"].with_name("more.jsonl"), [{"user_id": "v", "item_id": "b"}])
    manifest, index = update(folder, Dataset.load(interactions=log, earlier_items=index.item_ids))
    assert counts(manifest) == (4, 1, 3, 1)
    assert index.history("v").item_ids == ("b",)


def test_replacing_keeps_nothing(folder: Path, files: dict[str, Path]) -> None:
    manifest, index = update(folder, Dataset.load(items=catalog(files, "ac")), replace=True)
    assert counts(manifest) == (2, 0, 0, 0)
    assert not any(line.startswith("update:") for line in manifest.notices)
    assert index.user_ids == []


def test_tables_of_an_unreadable_index_are_not_dropped_unasked(
    folder: Path, files: dict[str, Path]
) -> None:
    path = next((folder / "versions").glob("*/manifest.json"))
    path.write_text(path.read_text().replace('"schema_version": 5', '"schema_version": 4'))
    part = Dataset.load(items=files["items"])
    with pytest.raises(StaleIndex, match=r"cannot be kept.*give items, reviews and interactions"):
        build_index(part, folder, embedder=EMBEDDER)
    assert path.exists()
    whole, _ = build_index(Dataset.load(**files), folder, embedder=EMBEDDER)
    assert counts(whole) == (4, 0, 3, 12)


def test_vectors_are_taken_over_from_an_update(folder: Path, files: dict[str, Path]) -> None:
    rows = catalog(files, "abcd", brand="Acme")
    _, embedded = build_index(Dataset.load(items=rows), folder, embedder=EMBEDDER)
    assert embedded == 4, "the items' texts changed, those of the reviews did not"


def test_names_too_long_for_prompts_are_said_once(folder: Path, files: dict[str, Path]) -> None:
    manifest, _ = update(folder, Dataset.load(items=catalog(files, "abcd", brand="x" * 201)))
    remarks = [line for line in manifest.notices if "more than 200 characters" in line]
    assert len(remarks) == 1
    assert remarks[0].startswith("4 items, the first 'a', have a title, brand or categories of")


def test_the_command_says_what_it_kept_and_retired(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def command(*options: object) -> str:
        arguments = ["--out", str(tmp_path / "cli"), *map(str, options)]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        return " ".join(done.stderr.split())

    given = [part for name, path in files.items() for part in (f"--{name}", path)]
    assert "update:" not in command(*given)
    said = command("--items", catalog(files, "acd"))
    assert (
        "update: items replaced (4 before, 3 now), reviews kept (3), interactions kept (12)" in said
    )
    said = command("--interactions", files["interactions"])
    assert "items kept (3), reviews kept (3), interactions replaced (12 before, 12 now)" in said
    assert "update:" not in command("--items", catalog(files, "ab"), "--replace")
    assert ItemIndex.open(tmp_path / "cli").user_ids == []
