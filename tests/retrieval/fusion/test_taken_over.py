"""What an update takes over is what a build makes; what it keeps is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scipy import sparse

from rag_rec import (
    ConfigError,
    Item,
    ItemIndex,
    LiveIndex,
    UserHistory,
    build_index,
    open_retriever,
    update_index,
)
from rag_rec.index import stored_data
from rag_rec.retrieval import RankerConfig, RetrievalConfig, SearchConfig
from rag_rec.retrieval.fusion.fitted import FOLDER, VIEWS
from rag_rec.retrieval.fusion.taken_over import taken_over_views
from rag_rec.retrieval.matrices import load_array
from rag_rec.testing import HashEmbedder
from tests.retrieval.test_ranker import planted

EMBEDDER = HashEmbedder()
WITH_RANKER = RetrievalConfig(
    ranker=RankerConfig(min_lists=50, rounds=10, min_leaf=20, depth=20),
    search=SearchConfig(enabled=False),
)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = tmp_path_factory.mktemp("ranked")
    build_index(planted(files), files / "index", embedder=EMBEDDER, retrieval=WITH_RANKER)
    return files / "index"


@pytest.fixture
def folder(ranked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ranked, tmp_path / "index"))


def add_events(folder: Path) -> None:
    live = LiveIndex.open(folder, EMBEDDER)
    for n in range(30):
        live.record(f"new-{n % 6}", live.item_ids[n], timestamp=1_700_000_000 + n)
    live.close()


def same(one: sparse.csr_array, other: sparse.csr_array) -> bool:
    difference = abs(one - other)
    return difference.nnz == 0 or bool(difference.data.max() < 1e-6)


def test_views_of_unchanged_texts_are_those_of_a_build(folder: Path, tmp_path: Path) -> None:
    add_events(folder)
    update_index(folder, embedder=EMBEDDER, retrieval=WITH_RANKER)
    updated = ItemIndex.open(folder, EMBEDDER)
    build_index(
        stored_data(updated.folder), tmp_path / "fresh", embedder=EMBEDDER, retrieval=WITH_RANKER
    )
    built = ItemIndex.open(tmp_path / "fresh", EMBEDDER)
    assert built.item_ids == updated.item_ids
    for name in ("title", "words", "vectors"):
        assert same(*(load_array(one.folder / FOLDER / VIEWS, name) for one in (updated, built)))
    for name in ("slit", "ease"):  # content keeps other ones of equals
        assert same(*(load_array(one.folder / FOLDER, name) for one in (updated, built)))


def test_views_are_made_again_when_a_text_changed(folder: Path) -> None:
    before = ItemIndex.open(folder, EMBEDDER)
    assert taken_over_views(before, before.folder, WITH_RANKER) is not None
    assert taken_over_views(before, before.folder, RetrievalConfig()) is None
    live = LiveIndex.open(folder, EMBEDDER)
    live.upsert(live.item(0).model_copy(update={"price": 1.0}))
    update_index(folder, embedder=EMBEDDER, retrieval=WITH_RANKER)
    priced = ItemIndex.open(folder, EMBEDDER)
    assert taken_over_views(priced, before.folder, WITH_RANKER) is not None
    live.upsert(Item(item_id="fresh", title="A new thing"))
    update_index(folder, embedder=EMBEDDER, retrieval=WITH_RANKER)
    grown = ItemIndex.open(folder, EMBEDDER)
    assert taken_over_views(grown, before.folder, WITH_RANKER) is None


def test_a_kept_fusion_is_the_one_before_over_sources_with_every_event(folder: Path) -> None:
    before = ItemIndex.open(folder, EMBEDDER)
    add_events(folder)
    manifest, _ = update_index(folder, embedder=EMBEDDER, retrieval=WITH_RANKER, keep_fusion=True)
    then, now = before.manifest.retrieval, manifest.retrieval
    assert now["fusion"] == then["fusion"] == "ranker"
    assert now["fusion_why"] == f"kept from an earlier version: {then['fusion_why']}"
    assert {n: s["weight"] for n, s in now["sources"].items()} == {
        n: s["weight"] for n, s in then["sources"].items()
    }
    assert now["sources"]["slit"]["entries"] != then["sources"]["slit"]["entries"]
    updated = ItemIndex.open(folder, EMBEDDER)
    ranker = "ranker.txt"
    assert (updated.folder / FOLDER / ranker).read_bytes() == (
        before.folder / FOLDER / ranker
    ).read_bytes()
    assert len(open_retriever(updated).retrieve([updated.history("new-1")], 10)[0]) == 10
    add_events(folder)
    LiveIndex.open(folder, EMBEDDER).record("x", updated.item_ids[0])
    again, _ = update_index(folder, embedder=EMBEDDER, retrieval=WITH_RANKER, keep_fusion=True)
    assert again.retrieval["fusion_why"] == now["fusion_why"]


def test_the_ranker_ranks_items_that_came_since(folder: Path) -> None:
    live = LiveIndex.open(folder, EMBEDDER)
    retriever = open_retriever(live)
    live.upsert(Item(item_id="fresh", title="red wool scarf 99"))
    scarf = next(item_id for item_id in live.item_ids if "scarf" in live.item_by_id(item_id).title)
    (found,) = retriever.retrieve([UserHistory.of(scarf)], 60)
    places = {candidate.item_id: candidate for candidate in found}
    assert "content" in places["fresh"].sources
    assert len(found) == 60
    assert len(retriever.retrieve([UserHistory.of("fresh", scarf)], 60)[0]) == 59


def test_a_fusion_of_other_settings_is_not_kept(folder: Path) -> None:
    add_events(folder)
    other = RetrievalConfig(search=SearchConfig(enabled=False))
    with pytest.raises(ConfigError, match="without --keep-fusion"):
        update_index(folder, embedder=EMBEDDER, retrieval=other, keep_fusion=True)
    assert len(LiveIndex.open(folder, EMBEDDER).history("new-1").events) == 5
