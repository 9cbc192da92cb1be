"""Live changes become part of the next version, none lost and none twice, however it ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rag_rec import (
    Dataset,
    IndexNotFound,
    Interaction,
    Item,
    ItemIndex,
    LiveIndex,
    Recommender,
    build_index,
    update_index,
)
from rag_rec.index import LiveLog, stored_data
from rag_rec.index.texts import text_of
from rag_rec.testing import HashEmbedder

EMBEDDER = HashEmbedder()
NEW = Item(item_id="new", title="Copper jug", price=12.0, categories=("Kitchen",))


@pytest.fixture(scope="module")
def small(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty users: seconds to build."""
    users = sample.interactions["user_id"].unique(maintain_order=True)[:60]
    log = sample.interactions.filter(pl.col("user_id").is_in(users.implode()))
    folder = tmp_path_factory.mktemp("small") / "index"
    build_index(Dataset(sample.items, log, type(sample.reviews)([])), folder, embedder=EMBEDDER)
    return folder


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "index"))


@pytest.fixture
def live(folder: Path) -> Iterator[LiveIndex]:
    opened = LiveIndex.open(folder, EMBEDDER)
    opened.record("newcomer", opened.item_ids[0], timestamp=100, key="a")
    opened.record(opened.user_ids[0], opened.item_ids[1], timestamp=4_000_000_000, rating=3.0)
    opened.upsert(NEW)
    opened.record("newcomer", "new", timestamp=101)
    opened.upsert(opened.item(4).model_copy(update={"price": 0.5}))
    opened.remove(favourite(opened))
    yield opened
    opened.close()


def favourite(index: ItemIndex) -> str:
    """Return the item with most events in the build: one that stays in the log when removed."""
    (item_id,) = index.interactions["item_id"].mode().sort()[:1]
    return item_id


def everything(index: ItemIndex) -> dict[str, object]:
    """Return what a reader can see of the log and the catalog, whatever the row numbers."""
    ids = sorted(filter(None, index.item_ids))
    return {
        "histories": {user: index.history(user) for user in sorted(index.user_ids)},
        "items": [index.item_by_id(item_id) for item_id in ids],
        "taken": {item_id: int(index.popularity[index.row_of[item_id]]) for item_id in ids},
    }


def test_the_next_version_holds_what_was_live(folder: Path, live: LiveIndex) -> None:
    before, last = everything(live), live.live_seq
    manifest, embedded = update_index(folder, embedder=EMBEDDER)
    assert (manifest.live_seq, embedded) == (last, 1)
    assert "live changes put in: 3 events, 2 items put, 1 removed" in manifest.notices
    built, now = ItemIndex.open(folder, EMBEDDER), LiveIndex.open(folder, EMBEDDER)
    assert everything(built) == before == everything(now) == everything(live)
    assert built.retired[built.row_of[favourite(live)]]


def test_what_comes_after_stays_live(folder: Path, live: LiveIndex) -> None:
    update_index(folder, embedder=EMBEDDER)
    live.record("late", "new", timestamp=102)  # by a process that serves the version before
    now = LiveIndex.open(folder, EMBEDDER)
    assert now.history("late").item_ids == ("new",)
    assert everything(now) == everything(live)
    update_index(folder, embedder=EMBEDDER)
    assert everything(ItemIndex.open(folder, EMBEDDER)) == everything(live)
    assert LiveLog(folder).since(0) == LiveLog(folder).since(live.live_seq - 1)


def test_a_sender_may_repeat_an_event_after_an_update(folder: Path, live: LiveIndex) -> None:
    update_index(folder, embedder=EMBEDDER)
    now = LiveIndex.open(folder, EMBEDDER)
    assert not now.record("newcomer", now.item_ids[0], key="a")
    assert len(now.history("newcomer").events) == 2


@pytest.mark.parametrize("ends", ["before", "after"])
def test_an_update_that_is_cut_short_loses_and_doubles_nothing(
    folder: Path, live: LiveIndex, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(live)
    target = "rag_rec.index.versions._make_current" if ends == "before" else ""
    with monkeypatch.context() as patched:
        if target:
            patched.setattr(target, _fail)
        else:
            patched.setattr(LiveLog, "forget", _fail)
        with pytest.raises(KeyboardInterrupt):
            update_index(folder, embedder=EMBEDDER)
    assert everything(LiveIndex.open(folder, EMBEDDER)) == before
    update_index(folder, embedder=EMBEDDER)
    assert everything(ItemIndex.open(folder, EMBEDDER)) == before


def _fail(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_changes_nothing_is_built(folder: Path) -> None:
    before, _ = update_index(folder, embedder=EMBEDDER)
    assert [path.name for path in (folder / "versions").iterdir()] == ["000001"]
    assert update_index(folder, embedder=EMBEDDER) == (before, 0)
    with pytest.raises(IndexNotFound):
        update_index(folder / "nowhere", embedder=EMBEDDER)


def test_a_build_from_files_leaves_changes_live(folder: Path, live: LiveIndex) -> None:
    export = live.interactions.select("user_id", "item_id", "timestamp", "rating")
    newest = pl.DataFrame(
        [("newcomer", live.item_ids[0], 100, None)], export.schema, orient="row"
    )  # the shop's own log holds one of the events by now
    path = folder.with_name("log.parquet")
    pl.concat([export, newest]).write_parquet(path)
    data = Dataset.load(interactions=path, earlier_items=live.item_ids[: live.n_built])
    build_index(data, folder, embedder=EMBEDDER)
    now = LiveIndex.open(folder, EMBEDDER)
    assert now.history("newcomer").item_ids == (live.item_ids[0], "new")
    assert now.item_by_id("new").title == NEW.title
    update_index(folder, embedder=EMBEDDER)
    assert everything(ItemIndex.open(folder, EMBEDDER))["items"] == everything(now)["items"]
    assert ItemIndex.open(folder, EMBEDDER).history("newcomer") == now.history("newcomer")


def test_vectors_of_another_embedder_are_made_again(folder: Path, live: LiveIndex) -> None:
    wide = HashEmbedder(dimension=128)
    assert wide.digest != EMBEDDER.digest
    build_index(stored_data(live.folder), folder, embedder=wide, rebuild=True)
    now = LiveIndex.open(folder, wide)
    row = now.row_of["new"]
    assert now.vectors_of([row]).shape == (1, 128)
    assert np.allclose(now.vectors_of([row])[0], wide.embed([text_of(now.item(row))])[0])


def test_an_item_that_a_build_dropped_is_embedded_from_its_last_change(
    folder: Path, live: LiveIndex, sample: Dataset
) -> None:
    item = live.item(6)
    live.upsert(item.model_copy(update={"price": 2.0}))
    catalog = sample.items.filter(pl.col("item_id") != item.item_id)
    left = sample.interactions.filter(pl.col("item_id") != item.item_id)
    data = Dataset(catalog, left, type(sample.reviews)([]))
    build_index(data, folder, embedder=EMBEDDER)
    now = LiveIndex.open(folder, EMBEDDER)
    assert now.find(item.item_id) is not None
    assert now.item_by_id(item.item_id).price == 2.0
    assert now.vectors_of([now.row_of[item.item_id]]).any()


def test_replace_drops_the_changes_too(folder: Path, live: LiveIndex, sample: Dataset) -> None:
    build_index(sample, folder, embedder=EMBEDDER, replace=True)
    now = LiveIndex.open(folder, EMBEDDER)
    assert not now.has_user("newcomer")
    assert now.find("new") is None


def test_a_recommender_serves_changes_and_says_where_it_cannot(folder: Path) -> None:
    with Recommender.open(folder, "none", embedder=EMBEDDER) as rec:
        first, second = rec.index.item_ids[:2]
        rec.record("newcomer", first)
        assert first not in {item.item_id for item in rec.recommend("newcomer").items}
        rec.remove(second)
        assert rec.index.history("newcomer").events[0].item_id == first
        assert isinstance(rec.index.history("newcomer").events[0], Interaction)
    with Recommender.open(folder, "none", embedder=EMBEDDER, live=False) as rec:
        assert not rec.index.has_user("newcomer")
        with pytest.raises(Exception, match=r"Recommender\.open\(folder\)"):
            rec.record("newcomer", first)
