"""Objectives, limits and affinities worked out by hand; what search keeps whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import Constraints, Item, where
from rag_rec.list_types import Affinity, Steps, Theme, construct
from rag_rec.list_types.affinity import Weights, pair_counts
from rag_rec.list_types.bundle import BundleObjective
from rag_rec.list_types.objective import Limit, Pool, mean_of_pairs
from rag_rec.list_types.play_sequence import SequenceObjective
from rag_rec.list_types.slate import SlateObjective, compose_page
from rag_rec.retrieval import Histories

PAIRS = np.array([[9, 0.1, 0.3], [0.1, 9, 0.5], [0.3, 0.5, 9]], np.float32)


def pool_of(prices: list[float | None], asked: Constraints | None = None) -> Pool:
    items = [Item(item_id=str(n), price=price) for n, price in enumerate(prices)]
    return Pool.of(items, asked or Constraints(), 0)


@pytest.mark.parametrize(
    ("chosen", "mean"), [([], None), ([2], None), ([0, 2], 0.3), ([2, 0, 1], 0.3), ([1, 2], 0.5)]
)
def test_mean_of_pairs_leaves_out_the_diagonal(chosen: list[int], mean: float | None) -> None:
    assert mean_of_pairs(PAIRS, chosen) == (None if mean is None else pytest.approx(mean))


@pytest.mark.parametrize(
    ("chosen", "total", "holds", "left"),
    [
        ([], 0.0, True, 0.3),
        ([0, 1], 0.3, True, 0.0),  # 0.1 + 0.2 is a little more than 0.3
        ([0, 1, 3], 0.31, False, -0.01),
        ([0, 2], None, False, 0.3),
    ],
)
def test_a_limit_is_inclusive_and_knows_no_unknown_amount(
    chosen: list[int], total: float | None, holds: bool, left: float
) -> None:
    limit = Limit([0.1, 0.2, None, 0.01], 0.3)
    assert limit.total(chosen) == (None if total is None else pytest.approx(total))
    assert limit.holds(chosen) is holds
    assert limit.left_over(chosen) == pytest.approx(left)
    assert Limit(limit.amounts).holds(chosen)


def test_relevance_falls_evenly_and_ten_for_each_broken_constraint() -> None:
    pool = pool_of([5, 50, 5, None], where("price<=20"))
    assert pool.relevance.tolist() == [1, 0.75 - 10, 0.5, 0.25 - 10]
    assert pool.holds([0, 2])
    assert not pool.holds([0, 1])


def test_the_value_of_a_bundle() -> None:
    objective = BundleObjective(pool_of([1, 2, 3]), PAIRS)
    # relevance 1 and 2/3; the strongest pair, 0.5, counts as 2, so that 0.1 counts as 0.4
    assert objective.value([0, 1]) == pytest.approx(5 / 6 + 0.4, abs=1e-4)
    assert objective.value([1, 2]) == pytest.approx(1 / 2 + 2, abs=1e-4)
    assert objective.value([0]) == pytest.approx(1)
    assert objective.value([]) == 0
    assert objective.compatibility([0]) == 0


def test_the_order_score_of_a_sequence() -> None:
    steps = np.array([[0, 1, 0.4], [-1, 0, 0.5], [0, 0, 0]], np.float32)
    start = np.array([0.6, 0, 0], np.float32)
    objective = SequenceObjective(pool_of([1, 2, 3]), steps, start)
    # neighbours count whole, 0 to 2 over one other by half
    assert objective.order([0, 1, 2]) == pytest.approx((1 + 0.5 + 0.4 / 2) / 3)
    assert objective.order([1, 0]) == pytest.approx(-1 / 2)
    assert objective.value([0, 1, 2]) == pytest.approx(2 / 3 + 2 * (1.7 / 3 + 0.6 / 3))
    assert objective.order([]) == objective.value([]) == 0


def test_the_value_of_a_page() -> None:
    objective = SlateObjective(pool_of([1, 2, 3]), PAIRS, 0.25)
    assert objective.diversity([0]) == 1
    assert objective.value([0, 1]) == pytest.approx(0.75 * 5 / 6 + 0.25 * 0.9)
    assert not objective.admits([1, 1])


def test_pairs_in_a_window_count_by_distance() -> None:
    log = Histories.of([[0, 1, 2], [0, 2], [1, 1]], 3)
    near, windowed, whole = (pair_counts(log, window).toarray() for window in (1, 2, None))
    assert near.tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert windowed.tolist() == [[0, 1, 1.5], [0, 0, 1], [0, 0, 0]]
    assert whole.tolist() == [[0, 1, 2], [0, 0, 1], [0, 0, 0]]


def test_affinities_and_steps_by_hand() -> None:
    log = Histories.of([[0, 1], [0, 1]], 3)
    rows = np.arange(3)
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    groups = np.array([0, 1, 0])

    def block(pairs: float, of_groups: float, text: float) -> np.ndarray:
        weights = Weights(pairs, of_groups, text)
        return Affinity(log, groups, vectors, weights=weights).block(rows, rows)

    # both twice together and never without each other: cosine 1, shrunk by 2 / (2 + 2)
    assert block(1, 0, 0)[0].tolist() == [0, 0.5, 0]
    assert block(0, 1, 0)[2].tolist() == [0, 0.5, 0]
    assert block(0, 0, 1)[2] == pytest.approx([0.6, 0.8, 1])
    assert block(1, 2, 3)[2] == pytest.approx([1.8, 3.4, 3])
    # 2 of 2 that way round, shrunk to 2 / (2 + 2), times 0.5 + 0.5 * 0.5
    assert Steps(log).block(rows, rows)[:2, :2].tolist() == [[0, 0.375], [-0.375, 0]]


@given(st.data())
def test_a_bundle_keeps_budget_slots_and_what_is_fixed(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 8))
    names = st.sets(st.sampled_from(["Pots", "Tea", "Books"]), max_size=2)
    price = st.one_of(st.none(), st.integers(1, 30).map(float))
    items = [
        Item(item_id=str(i), price=data.draw(price), categories=tuple(sorted(data.draw(names))))
        for i in range(n)
    ]
    wanted = data.draw(st.lists(st.sampled_from(["Pots", "Tea", "Books"]), max_size=3))
    slots = tuple(where(f"category={name}") for name in wanted)
    budget = data.draw(st.sampled_from([None, 20.0, 45.0]))
    pool = Pool.of(items, Constraints(), 0)
    together = np.random.default_rng(n).random((n, n)).astype(np.float32)
    objective = BundleObjective(pool, together + together.T, budget=budget, slots=slots)
    anchor = data.draw(st.integers(0, n - 1))
    length = len(slots) or 3
    chosen = construct(objective, length, fixed=[anchor, anchor])
    assert len(chosen) == len(set(chosen)) <= length
    assert (anchor in chosen) is objective.admits([anchor])
    if budget is not None:
        assert sum(items[at].price or 99 for at in chosen) <= budget
    if slots:
        places = objective.places(chosen)
        assert places is not None
        assert len(set(places)) == len(chosen)
        assert all(wanted[p] in items[at].categories for p, at in zip(places, chosen, strict=True))
    full = len(chosen) == length
    assert full or not any(objective.admits([*chosen, at]) for at in range(n) if at not in chosen)


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=3), st.integers(1, 3), st.data())
def test_no_item_stands_twice_on_a_page(
    members: list[set[int]], per_row: int, data: st.DataObject
) -> None:
    objective = SlateObjective(pool_of([1.0] * 8), np.eye(8, dtype=np.float32), 0.5)
    fixed = data.draw(st.lists(st.lists(st.integers(0, 7)), max_size=len(members)))
    themes = [Theme(str(n), frozenset(row)) for n, row in enumerate(members)]
    rows = compose_page(objective, themes, per_row, fixed)
    page = [at for row in rows for at in row]
    assert len(page) == len(set(page)) == min(8, per_row * len(themes))
    assert max(map(len, rows)) <= per_row
    if fixed and (kept := [at for at in dict.fromkeys(fixed[0]) if at in members[0]]):
        assert rows[0][: len(kept[:per_row])] == kept[:per_row], "the model's choices stay"


def test_items_without_text_say_nothing_about_the_diversity_of_a_page() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 0]], np.float32)
    objective = SlateObjective(pool_of([1, 2, 3]), vectors @ vectors.T, 0.25)
    assert objective.diversity([0, 1]) == objective.diversity([0, 1, 2]) == pytest.approx(0.4)
    assert objective.diversity([0, 2]) == 1
