"""Index: immutable versions, reuse, locks, and what does not match says so."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from rag_rec import (
    ConfigError,
    DataError,
    Dataset,
    IndexLocked,
    IndexNotFound,
    ItemIndex,
    SentenceTransformerEmbedder,
    StaleIndex,
    build_index,
)
from rag_rec.index import item_texts
from rag_rec.testing import HashEmbedder


def small(tmp_path: Path, titles: dict[str, str], reviews: int = 3) -> Dataset:
    items = tmp_path / "items.jsonl"
    items.write_text("\n".join(json.dumps({"item_id": i, "title": t}) for i, t in titles.items()))
    words = tmp_path / "reviews.jsonl"
    first = next(iter(titles))
    rows = [{"item_id": first, "user_id": "u", "text": f"remark {n}"} for n in range(reviews)]
    words.write_text("\n".join(map(json.dumps, rows)) or "\n")
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id\n" + "".join(f"u,{i}\n" for i in titles))
    return Dataset.load(items=items, reviews=words if reviews else None, interactions=log)


def test_half_precision_changes_next_to_nothing() -> None:
    texts = ["green tea", "a very long story of a kettle " * 20, "", "ошибка", "50 % off"]
    half, full = (SentenceTransformerEmbedder(half=half).embed(texts) for half in (True, False))
    assert (half * full).sum(axis=1).min() > 0.9998
    assert half.dtype == np.float32


def test_an_index_holds_what_was_put_in(sample: Dataset, hash_index: ItemIndex) -> None:
    manifest = hash_index.manifest
    assert (manifest.n_items, manifest.n_reviews) == (sample.items.height, sample.reviews.count)
    assert manifest.dataset_digest == sample.digest
    assert hash_index.items.sort("item_id").equals(sample.items.sort("item_id"))
    assert hash_index.store.count("items") == manifest.n_items
    assert hash_index.store.count("reviews") == manifest.n_reviews
    vectors = HashEmbedder().embed(item_texts(hash_index.items))
    assert np.allclose(hash_index.item_vectors, vectors, atol=1e-6)
    for row in (0, 57, 299):
        _, cosines = hash_index.store.query("items", vectors[row : row + 1], 3)[0]
        assert cosines[0] == pytest.approx(1, abs=1e-5)
        exact = vectors @ vectors[row]
        assert cosines == pytest.approx(np.sort(exact)[::-1][:3], abs=1e-5)
    reviews = pl.concat(sample.reviews.frames())
    rows = hash_index.reviews_of(10)
    expected = reviews.filter(pl.col("item_id") == hash_index.item_ids[10])["text"].to_list()
    assert [" ".join(text.split()) for text in expected] == hash_index.review_texts(list(rows))


def test_histories_come_back_in_time_order(sample: Dataset, hash_index: ItemIndex) -> None:
    for user in sorted(hash_index.user_ids)[:20]:
        history = hash_index.history(user)
        rows = sample.interactions.filter(pl.col("user_id") == user)
        assert list(history.item_ids) == rows["item_id"].to_list()
        times = [event.timestamp for event in history.events]
        assert times == sorted(times)  # type: ignore[type-var]
    with pytest.raises(DataError, match=r"no user 'nobody'.*give a history"):
        hash_index.history("nobody")
    with pytest.raises(DataError, match="no item 'nothing'"):
        hash_index.item_by_id("nothing")


def test_update_embeds_only_what_changed(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    folder = tmp_path / "index"
    build_index(small(tmp_path, {"a": "kettle", "b": "cup"}), folder, embedder=embedder)
    first = ItemIndex.open(folder, embedder)
    embedder.n_embedded = 0
    _, n = build_index(
        small(tmp_path, {"a": "kettle", "b": "mug", "c": "pot"}), folder, embedder=embedder
    )
    assert n == embedder.n_embedded == 2
    second = ItemIndex.open(folder, embedder)
    fresh = HashEmbedder().embed(item_texts(second.items))
    assert np.allclose(second.item_vectors, fresh)
    assert first.items["title"].to_list() == ["kettle", "cup"], "an open version never changes"
    assert first.store.count("items") == 2
    _, n = build_index(small(tmp_path, {"a": "kettle"}), folder, embedder=embedder, rebuild=True)
    assert n == 4


def test_removed_items_and_reviews_are_gone_when_nothing_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    build_index(small(tmp_path, {"a": "kettle", "b": "cup"}), folder, embedder=HashEmbedder())
    fresh = small(tmp_path, {"b": "cup"}, reviews=0)
    build_index(fresh, folder, embedder=HashEmbedder(), replace=True)
    index = ItemIndex.open(folder, HashEmbedder())
    assert (index.item_ids, index.manifest.n_reviews) == (["b"], 0)
    assert index.nearest(HashEmbedder().embed(["kettle"]), 5)[0][0].tolist() == [0]


def test_another_embedder_is_refused_with_the_way_out(hash_index_folder: Path) -> None:
    with pytest.raises(StaleIndex, match=r"built with 'hash-64'.*rebuild with rag-rec index"):
        ItemIndex.open(hash_index_folder, HashEmbedder(32))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [('"n_items"', '"n_things"'), ('"schema_version": 5', '"schema_version": 4')],
)
def test_another_schema_is_refused(
    ours: str, theirs: str, hash_index_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(hash_index_folder, tmp_path / "copy")
    path = next((copy / "versions").glob("*/manifest.json"))
    text = path.read_text()
    assert ours in text
    path.write_text(text.replace(ours, theirs))
    with pytest.raises(StaleIndex, match="rebuild with rag-rec index"):
        ItemIndex.open(copy)


def test_no_index_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound, match="rag-rec index --out"):
        ItemIndex.open(tmp_path)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(IndexLocked):
        build_index(small(tmp_path, {"a": "x"}), folder, embedder=HashEmbedder())


class _Failing(HashEmbedder):
    def embed(self, *_: object) -> NoReturn:
        raise RuntimeError("power cut")


def test_a_failed_build_leaves_the_old_version(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    build_index(small(tmp_path, {"a": "kettle"}), folder, embedder=HashEmbedder())
    with pytest.raises(RuntimeError):
        build_index(small(tmp_path, {"a": "pot"}), folder, embedder=_Failing())
    assert ItemIndex.open(folder).items["title"].to_list() == ["kettle"]
    assert len(list((folder / "versions").iterdir())) == 1


def _build_and_die(folder: Path, data_folder: Path) -> None:
    import os

    class Dying(HashEmbedder):
        def embed(self, *_: object) -> object:  # type: ignore[override]
            os.kill(os.getpid(), 9)

    build_index(small(data_folder, {"a": "pot"}), folder, embedder=Dying())


def test_kill_9_while_building_leaves_the_old_version(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    build_index(small(tmp_path, {"a": "kettle"}), folder, embedder=HashEmbedder())
    process = multiprocessing.get_context("spawn").Process(
        target=_build_and_die, args=(folder, tmp_path)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -9
    assert ItemIndex.open(folder).items["title"].to_list() == ["kettle"]
    build_index(small(tmp_path, {"a": "pot"}), folder, embedder=HashEmbedder())
    assert ItemIndex.open(folder).items["title"].to_list() == ["pot"]


def test_old_versions_are_removed_but_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    for title in ("one", "two", "three", "four"):
        build_index(small(tmp_path, {"a": title}), folder, embedder=HashEmbedder())
    names = sorted(path.name for path in (folder / "versions").iterdir())
    assert names == ["000002", "000003", "000004"]


def test_a_model_that_cannot_be_loaded_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"cannot be loaded.*rag-rec\[local\]"):
        SentenceTransformerEmbedder("no-such-model-anywhere").embed(["x"])


def test_html_and_hidden_characters_are_not_embedded(tmp_path: Path) -> None:
    data = small(tmp_path, {"a": "<b>Tea</b> &amp; pots\u202e<script>alert(1)</script>", "b": ""})
    assert item_texts(data.items) == ["Tea & pots", ""]


def test_popularity_counts_the_events_of_the_log(hash_index: ItemIndex) -> None:
    counts = hash_index.popularity
    assert counts.dtype == np.int64
    assert counts.sum() == hash_index.manifest.n_interactions
    events = hash_index.interactions["item_id"].to_list()
    for row in (0, 57, 299):
        assert counts[row] == events.count(hash_index.item_ids[row])


def test_reviews_know_their_authors(sample: Dataset, hash_index: ItemIndex) -> None:
    users = hash_index.user_ids
    reviews = pl.concat(sample.reviews.frames())
    assert len(hash_index.review_users) == reviews.height
    for row in (0, 100, reviews.height - 1):
        author = hash_index.review_users[row]
        assert author == -1 or users[author] == reviews["user_id"][row]
    author = users[hash_index.review_users.max()]
    written = reviews.filter(pl.col("user_id") == author)["item_id"].to_list()
    assert sorted(item_id for item_id, _ in hash_index.reviews_by(author, 100)) == sorted(written)


def test_an_embedder_that_fails_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    class Failing(HashEmbedder):
        def embed(self, *_: object) -> NoReturn:
            raise RuntimeError("no power")

    folder = tmp_path / "index"
    build_index(small(tmp_path, {"a": "kettle"}), folder, embedder=HashEmbedder())
    with pytest.raises(RuntimeError, match="no power"):
        build_index(small(tmp_path, {"a": "cup"}), folder, embedder=Failing(), rebuild=True)
    index = ItemIndex.open(folder, HashEmbedder())
    assert index.items["title"].to_list() == ["kettle"]
    assert [path.name for path in (folder / "versions").iterdir()] == ["000001"]


def test_progress_of_embedding_is_reported_to_the_last_text(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []

    def note(*step: object) -> None:
        steps.append(step)  # type: ignore[arg-type]

    data = small(tmp_path, {str(n): f"thing {n}" for n in range(600)}, reviews=5)
    for embedded in (605, 0):
        steps.clear()
        _, n = build_index(data, tmp_path / "index", embedder=HashEmbedder(), on_step=note)
        assert n == embedded
        assert ("embedding items", 600, 600) in steps
        assert ("embedding reviews", 5, 5) in steps
        done = [step[1] for step in steps if step[0] == "embedding items"]
        assert done == sorted(done)
