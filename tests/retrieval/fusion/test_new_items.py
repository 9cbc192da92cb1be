"""Items without events are learned about, and found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from rag_rec import Dataset
from rag_rec.evaluation import RetrievalOptions, evaluate_retrieval
from rag_rec.retrieval import Histories, RankerConfig, RetrievalConfig
from rag_rec.retrieval.fusion.new_items import NextEvents, granted, share_of_new, with_new_items
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.lambdamart import NewItems, TrainingData
from rag_rec.retrieval.stacked import StackedSources, with_places_kept
from rag_rec.testing import HashEmbedder
from tests.retrieval.hand_made import fit_data

N_SHELVES, N_ON_SHELF = 20, 12


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Users stay on a shelf, whose items share a word; a few others come in between."""
    folder, rng = tmp_path_factory.mktemp("shelves"), np.random.default_rng(8)
    rows = [f"i{n},shelf{n % N_SHELVES} thing{n}" for n in range(N_SHELVES * N_ON_SHELF)]
    (folder / "items.csv").write_text("item_id,title\n" + "\n".join(rows))
    lines = ["user_id,item_id"]
    for user in range(700):
        own = rng.permutation(N_ON_SHELF)[:6] * N_SHELVES + user % N_SHELVES
        taken = np.where(rng.random(6) < 0.3, rng.integers(0, len(rows), 6), own)
        lines += [f"u{user},i{item}" for item in dict.fromkeys(taken.tolist())]
    (folder / "log.csv").write_text("\n".join(lines))
    return Dataset.load(items=folder / "items.csv", interactions=folder / "log.csv")


def test_hidden_items_are_found_better_than_by_any_source(shelves: Dataset) -> None:
    config = RetrievalConfig(ranker=RankerConfig(min_lists=50, rounds=40, min_leaf=20))
    report = evaluate_retrieval(
        shelves,
        RetrievalOptions(retrieval=config, embedder=HashEmbedder(), ks=(5,), hidden_items=0.2),
    )
    assert report["fusion"] == "ranker"
    assert report["new_places"] == 20
    rows = {row["name"]: row["recall@5"] for row in report["rows"]}
    assert rows["fusion"] > 1.2 * max(rows[name] for name in ("content", "slit", "ease"))
    without = evaluate_retrieval(
        shelves,
        RetrievalOptions(retrieval=config, embedder=HashEmbedder(), ks=(10,)),
    )
    assert (without["new_places"], without["new_bonus"]) == (0, 0)


def test_as_many_next_events_are_of_new_items_as_the_catalog_has_new_items() -> None:
    rng = np.random.default_rng(1)
    data = fit_data([rng.integers(0, 160, 6).tolist() for _ in range(400)], 200)
    assert share_of_new(data) == pytest.approx(0.2, abs=0.01)
    before = data.without_last(2)
    learned = with_new_items(data, before, seed=3)
    is_new = learned.log.counts() == 0
    came_next = data.log.items[data.log.ages < 2]
    assert is_new[came_next].mean() == pytest.approx(0.2, abs=0.05)
    assert len(learned.times) == len(learned.log.items)
    kept = ~is_new[before.log.items]
    assert learned.log.items.tolist() == before.log.items[kept].tolist()


def test_a_catalog_without_new_items_is_learned_from_as_it_is() -> None:
    data = fit_data([[n % 50, (n + 1) % 50, (n + 2) % 50] for n in range(100)], 50)
    before = data.without_last(2)
    assert share_of_new(data) == 0
    assert with_new_items(data, before, seed=0) is before


def test_reviews_of_items_without_events_are_put_aside() -> None:
    data = replace(fit_data([[0, 1], [1, 2]], 3), review_items=np.array([0, 1, -1], np.int32))
    without = data.without_items(np.array([False, True, False]))
    assert without.review_items.tolist() == [0, -1, -1]
    assert [without.log.row(user).tolist() for user in range(2)] == [[0], [2]]


class OneSource(Features):
    """Puts item 0 first for the users whose only item is one of the first ``n_found``."""

    is_new = np.arange(41) == 0

    def __init__(self, n_found: int) -> None:
        matrix = np.zeros((41, 41), np.float32)
        matrix[1 : n_found + 1, 0] = 1
        self.sources = StackedSources({"one": sparse.csr_array(matrix)}, {"one": 1.0})
        self.decay = 2.0


@pytest.mark.parametrize(("n_found", "bonus"), [(10, 0.0), (36, 1.1), (40, 3.0)])
def test_the_bonus_is_the_smallest_that_beats_the_best_source(n_found: int, bonus: float) -> None:
    # the new item came next in each of 40 lists: in 12 it is first, in the others eleven that are
    # not new are 1.05 above it
    scores = np.full((40, 12), -1.0)
    scores[12:] = 1.05
    scores[:, 0] = 0
    labels = np.zeros((40, 12), np.int8)
    labels[:, 0] = 1
    popularity = 3 * (1 - labels.reshape(-1, 1)).astype(np.float32)
    groups, users = np.full(40, 12), np.arange(40)
    learned = TrainingData(popularity, labels.ravel(), groups, users, ("popularity",))
    past = Histories.of([[1 + user] for user in range(40)], 41)
    events = [NextEvents(past, np.zeros(40, np.int32), users)]
    found = granted(learned, scores.ravel(), OneSource(n_found), events, 5)
    assert found == NewItems(5, bonus)


@given(
    st.lists(st.integers(0, 50), unique=True),
    st.lists(st.integers(0, 50), unique=True, max_size=4),
    st.integers(4, 12),
)
def test_kept_places_lose_no_item_and_repeat_none(
    items: list[int], others: list[int], depth: int
) -> None:
    def scored(chosen: list[int]) -> tuple[np.ndarray, np.ndarray]:
        return np.array(chosen, np.int32), np.arange(len(chosen), 0, -1).astype(np.float32)

    found, scores = with_places_kept(scored(items), scored(others), depth, 4)
    assert len(found) == len(scores) == len(set(found.tolist()))
    assert set(found.tolist()) == {*items, *others}
    assert set(others) <= set(found[:depth].tolist())
    assert found[: depth - 4].tolist() == items[: depth - 4] or len(items) < depth - 4
