"""Live events teach what comes next, as much as the source would learn of them at first."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rag_rec import Dataset, LiveIndex, UserHistory, build_index, open_retriever
from rag_rec.retrieval import RetrievalConfig, SearchConfig
from rag_rec.retrieval.fusion.live_events import LiveEvents
from rag_rec.retrieval.fusion.retriever import FusedRetriever
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.item_item import Slit
from rag_rec.testing import HashEmbedder


@pytest.fixture
def index(hash_index_folder: Path, tmp_path: Path) -> LiveIndex:
    folder = shutil.copytree(hash_index_folder, tmp_path / "index")
    return LiveIndex.open(folder, HashEmbedder())


def pair(index: LiveIndex) -> tuple[str, str]:
    """Two items in stock that nothing links."""
    retriever, ids = open_retriever(index), index.item_ids
    free = [row for row in range(index.n_built) if index.item(row).in_stock]
    (found,) = retriever.retrieve([UserHistory.of(ids[free[0]])], 40)
    near = {candidate.item_id for candidate in found}
    return ids[free[0]], next(ids[row] for row in free[1:] if ids[row] not in near)


def test_what_many_users_took_next_is_listed_and_explained(index: LiveIndex) -> None:
    first, then = pair(index)
    retriever = open_retriever(index)
    for n in range(120):
        index.record(f"live-{n}", first, timestamp=100)
        index.record(f"live-{n}", then, timestamp=200)
    history = UserHistory.of(first)
    (found,) = retriever.retrieve([history], 5)
    ranks = {candidate.item_id: candidate.sources for candidate in found}
    assert ranks[then]["slit"] == 1
    title = index.item_by_id(first).title
    assert retriever.explain(history, [then])[then].text == f"Often taken after “{title}”."


def test_it_waits_for_a_tenth_and_a_hundred(index: LiveIndex) -> None:
    learned = LiveEvents(index, Slit())
    for n in range(99):
        index.record("u", index.item_ids[n % 7], timestamp=n)
    assert not learned.is_behind
    index.record("u", index.item_ids[0], timestamp=99)
    assert learned.is_behind
    assert learned.entries().nnz
    assert not learned.is_behind


def test_entries_are_what_x_and_y_gain_over_the_ridge(index: LiveIndex) -> None:
    """The gain of X'Y by an event at the end of a history, against the source's own splits."""
    slit, rows = Slit(max_past=6, max_future=6), [3, 5, 8, 13]
    for at, row in enumerate(rows):
        index.record("u", index.item_ids[row], timestamp=at)
    found = LiveEvents(index, slit).entries()
    past, future = slit.splits(Histories.of([rows], index.n_items))
    expected = (past.T @ future).toarray()
    np.fill_diagonal(expected, 0)
    scale = 2 / (slit.ridge + index.popularity)
    assert np.allclose(found.toarray(), expected * scale[:, None], atol=1e-6)


def test_late_events_follow_those_before_them_in_time(index: LiveIndex) -> None:
    ids = index.item_ids
    index.record("u", ids[1], timestamp=100)
    index.record("u", ids[2], timestamp=300)
    index.record("u", ids[3], timestamp=200)
    entries = LiveEvents(index, Slit()).entries()
    assert entries[1, 2] > 0 < entries[1, 3]
    assert entries[2, 3] == 0


def test_what_they_add_is_on_the_scale_of_the_source_as_it_was_fitted(
    sample: Dataset, tmp_path: Path
) -> None:
    slit = Slit(ridge=7.0, past_decay=5.0)
    retrieval = RetrievalConfig(sources=(slit,), search=SearchConfig(enabled=False))
    build_index(sample, tmp_path / "own", embedder=HashEmbedder(), retrieval=retrieval)
    index = LiveIndex.open(tmp_path / "own", HashEmbedder())
    retriever = FusedRetriever(index)
    for n in range(100):
        index.record("u", index.item_ids[n % 9], timestamp=n)
    retriever.rank([UserHistory.of(index.item_ids[0])], 5)
    wanted = LiveEvents(index, slit).entries() * np.float32(retriever.sources.factors["slit"])
    assert np.allclose(retriever.sources.stacked.more.toarray(), wanted.toarray())
