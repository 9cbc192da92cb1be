"""Histories, the value of a weighting, the budget and what the manifest says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from rag_rec import Dataset, ItemIndex, build_index
from rag_rec.retrieval import (
    SOURCES,
    Budget,
    Histories,
    RankerConfig,
    RetrievalConfig,
    SearchConfig,
    open_retriever,
)
from rag_rec.retrieval.stacked import StackedSources, best, best_of_rows, order_keys
from rag_rec.retrieval.weighting.search import search_weights
from rag_rec.retrieval.weighting.weights import Weighting
from rag_rec.testing import HashEmbedder

ROWS = st.lists(st.lists(st.integers(-1, 7), max_size=6), max_size=5)


@given(ROWS, st.integers(0, 4))
def test_histories_agree_with_lists(rows: list[list[int]], n: int) -> None:
    log = Histories.of(rows, 8)
    assert len(log) == len(rows)
    assert [log.row(u).tolist() for u in range(len(log))] == [
        [i for i in r if i >= 0] for r in rows
    ]
    assert log.lengths.tolist() == [len(row) for row in rows]
    assert log.owners.tolist() == [user for user, row in enumerate(rows) for _ in row]
    assert log.ages.tolist() == [age for row in rows for age in reversed(range(len(row)))]
    shorter = log.without_last(n)
    cut = [row[: max(0, len(row) - n)] for row in rows]
    assert shorter.items.tolist() == [item for row in cut for item in row]
    assert shorter.lengths.tolist() == [len(row) for row in cut]
    counts = [sum(item in row for row in rows) for item in range(8)]
    assert log.counts().tolist() == counts
    back = np.arange(len(rows))[::-1]
    assert [log.take(back).row(u).tolist() for u in range(len(log))] == [
        log.row(u).tolist() for u in back.tolist()
    ]


@given(ROWS, st.integers(1, 3))
def test_pairs_and_weights_agree_with_lists(rows: list[list[int]], gap: int) -> None:
    log = Histories.of(rows, 8)
    expected = [pair for row in rows for pair in zip(row, row[gap:], strict=False)]
    assert list(zip(*(part.tolist() for part in log.pairs(gap)), strict=True)) == expected
    decayed, flat, last = (m.toarray() for m in (log.weights(2.0), log.weights(None), log.last()))
    for user, row in enumerate(rows):
        known = [item for item in row if item >= 0]
        for item in range(8):
            age = row[::-1].index(item) if item in row else None
            assert flat[user, item] == (item in row)
            assert decayed[user, item] == pytest.approx(0 if age is None else np.exp(-age / 2))
            assert last[user, item] == (known[-1:] == [item])


@given(st.lists(st.lists(st.floats(-1, 1, width=32), min_size=6, max_size=6), max_size=4))
def test_the_best_of_many_rows_are_the_best_of_each(rows: list[list[float]]) -> None:
    items = np.arange(6, dtype=np.int32)
    values = [np.array(row, np.float32) for row in rows]
    keys = [np.empty(0, np.int64), *(order_keys(items, row) for row in values)]
    found = best_of_rows(np.concatenate(keys), [6 * n for n in range(len(rows) + 1)], 3)
    for (chosen, scores), row in zip(found, values, strict=True):
        alone, its = best(items, row, 3)
        assert chosen.tolist() == alone.tolist()
        wanted = sorted((-value, item) for item, value in enumerate(row.tolist()) if value > 0)
        assert list(zip((-scores).tolist(), chosen.tolist(), strict=True)) == wanted[:3]
        assert its.tolist() == scores.tolist()


def test_sources_without_entries_take_no_columns() -> None:
    empty, full = sparse.csr_array((3, 3), dtype=np.float32), np.zeros((3, 3), np.float32)
    full[0, 1] = 3
    matrices = {"empty": empty, "full": sparse.csr_array(full)}
    found = StackedSources(matrices, {"empty": 1.0, "full": 2.0})
    assert found.names == ("full",)
    assert set(found.factors) == {"full"}
    assert found.stacked.shape == (3, 3)
    assert found.fused.toarray()[0, 1] == pytest.approx(2 * 3 / full.std())
    nothing = StackedSources({"empty": empty}, {"empty": 1.0})
    assert nothing.names == ()
    assert nothing.fused.nnz == nothing.stacked.nnz == 0


def planted(n_users: int) -> tuple[StackedSources, Histories, np.ndarray]:
    """Source ``right`` knows the next item, ``wrong`` another one; nobody comes back."""
    right, wrong = (np.roll(np.eye(6, dtype=np.float32), k, axis=1) for k in (1, 2))
    matrices = {"wrong": sparse.csr_array(wrong), "right": sparse.csr_array(right)}
    items = np.arange(n_users, dtype=np.int32) % 6
    sources = StackedSources(matrices, {"wrong": 1.0, "right": 1.0})
    return sources, Histories.of([[item] for item in items], 6), (items + 1) % 6


def test_the_search_stops_at_the_weights_that_put_the_right_item_first() -> None:
    start = Weighting({"wrong": 1.0, "right": 0.9}, decay=2.0, replay=0.1)
    found = search_weights(*planted(60), start, SearchConfig(decays=(2.0,)))
    # one step is enough: after it nothing is left to gain
    assert found.sources == {"wrong": 1 / 64, "right": 1.0}
    lazy = SearchConfig(decays=(2.0,), gain=0.7)
    kept = search_weights(*planted(60), start, lazy)
    assert kept.sources == start.sources, "1 for 0.63 is a gain of 0.58"


def test_weights_stay_where_there_is_too_little_to_learn_from() -> None:
    start = Weighting({"wrong": 1.0, "right": 0.9}, decay=2.0, replay=0.1)
    assert search_weights(*planted(49), start, SearchConfig(min_events=50)) == start
    assert search_weights(*planted(50), start, SearchConfig(min_events=50)) != start


def test_users_without_a_past_do_not_enter_the_search() -> None:
    sources, past, came_next = planted(60)
    start = Weighting({"wrong": 1.0, "right": 0.9}, decay=2.0, replay=0.1)
    rows = [past.row(user) for user in range(60)]
    padded = Histories.of([*rows, *[[]] * 500], 6)
    target = np.concatenate([came_next, np.zeros(500, np.int32)])
    config = SearchConfig(events=60, decays=(2.0,))
    found = search_weights(sources, padded, target, start, config)
    assert found == search_weights(sources, past, came_next, start, config)


def test_the_dense_head_is_the_most_frequent_items_that_fit() -> None:
    log = Histories.of([[3, 1], [3, 1, 0], [3, 4, 4]], 5)
    of = {n: Budget(2 * 4 * n * n / 2**30).dense_head(log).tolist() for n in (1, 2, 4, 5, 9)}
    assert of == {1: [3], 2: [1, 3], 4: [0, 1, 3, 4], 5: [0, 1, 3, 4], 9: [0, 1, 3, 4]}


def test_a_small_budget_is_said_in_the_manifest_and_still_serves(
    sample: Dataset, tmp_path: Path
) -> None:
    budget = Budget(2 * 4 * 50 * 50 / 2**30, exact_items=10)
    config = RetrievalConfig(
        budget=budget, ranker=RankerConfig(enabled=False), search=SearchConfig(enabled=False)
    )
    build_index(sample, tmp_path / "index", embedder=HashEmbedder(), retrieval=config)
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    record = index.manifest.retrieval
    assert record["solve"] == "dense head, co-occurrence tail"
    assert "items with events, of which 50 fit" in record["solve_why"]
    assert record["neighbours"] == "within clusters, and by rare words"
    assert (record["fusion"], record["fusion_why"]) == (
        "given weights",
        "learning is switched off",
    )
    assert record["config"]["budget"] == {
        "memory_gib": budget.memory_gib, "exact_items": 10,
    }  # fmt: skip
    assert {name: s["weight"] for name, s in record["sources"].items()} == {
        source.name: source.weight for source in SOURCES
    }
    retriever = open_retriever(index)
    ease = retriever.sources.matrix("ease")
    assert len(np.union1d(*ease.nonzero())) <= 50 < len(np.unique(retriever.sources.fused.indices))
    assert len(retriever.retrieve([index.history(index.user_ids[0])], 10)[0]) == 10
    index.close()


@pytest.mark.parametrize("given_too", [True, False])
def test_the_short_form_of_the_settings(given_too: bool) -> None:
    config = RetrievalConfig.within(2.5, ranker=False, given=given_too)
    document = config.as_document()
    assert document["budget"]["memory_gib"] == 2.5
    assert document["ranker"]["enabled"] is False
    assert (document["given"] is not None) == given_too
    assert list(document["sources"]) == [source.name for source in SOURCES]


@given(st.lists(st.integers(0, 2**31 - 1), max_size=300), st.integers(1, 12))
def test_the_best_of_many_are_the_best_of_all(bits: list[int], n: int) -> None:
    values = np.array([bit % 2_139_095_040 for bit in bits], np.int32).view(np.float32)
    items = np.arange(len(bits), dtype=np.int32)[::-1].copy()
    chosen, scores = best(items, values, n)
    rows = zip(values.tolist(), items.tolist(), strict=True)
    expected = sorted(((-value, item) for value, item in rows if value > 0))[:n]
    assert list(zip((-scores).tolist(), chosen.tolist(), strict=True)) == expected
