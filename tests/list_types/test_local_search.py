"""Search on an objective: close to the best list there is, and better than greedy insertion."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import Constraints, Item, where
from rag_rec.list_types import Steps, construct
from rag_rec.list_types.bundle import BundleObjective
from rag_rec.list_types.local_search import Objective, greedy
from rag_rec.list_types.objective import Limit, Pool
from rag_rec.list_types.play_sequence import SequenceObjective
from rag_rec.retrieval import Histories


def goods(prices: list[float | None]) -> list[Item]:
    return [
        Item(item_id=str(n), price=price, categories=("a" if n % 2 else "b",))
        for n, price in enumerate(prices)
    ]


def matrix(n: int, **entries: float) -> np.ndarray:
    """Zeros but for entries such as ``_03=1.0`` in row 0, column 3."""
    found = np.zeros((n, n), np.float32)
    for name, value in entries.items():
        found[int(name[1]), int(name[2])] = value
    return found


def bundle(together: np.ndarray, **options: object) -> BundleObjective:
    pool = Pool.of(goods([1.0] * len(together)), Constraints(), 0)
    return BundleObjective(pool, together + together.T, **options)  # type: ignore[arg-type]


def sequence(steps: np.ndarray, durations: Limit | None = None) -> SequenceObjective:
    pool = Pool.of(goods([1.0] * len(steps)), Constraints(), 0)
    return SequenceObjective(pool, steps, np.zeros(len(steps), np.float32), durations)


def random_bundle(n: int, seed: int, **options: object) -> BundleObjective:
    rng = np.random.default_rng(seed)
    together = rng.random((n, n)).astype(np.float32)
    prices: list[float | None] = [*rng.integers(1, 30, n - 1).tolist(), None]
    pool = Pool.of(goods(prices), Constraints(), 0)
    return BundleObjective(pool, together + together.T, **options)  # type: ignore[arg-type]


def random_sequence(n: int, seed: int, most: float | None) -> SequenceObjective:
    steps = np.random.default_rng(seed).uniform(-1, 1, (n, n)).astype(np.float32)
    return sequence(steps, Limit([float(at % 4 + 1) for at in range(n)], most))


def by_greedy(objective: Objective, length: int) -> list[int]:
    return greedy(objective, [], length, objective.value)


@given(st.integers(5, 9), st.integers(0, 10_000), st.integers(2, 3), st.floats(20, 60))
def test_a_bundle_is_close_to_the_best_there_is(
    n: int, seed: int, size: int, budget: float
) -> None:
    objective = random_bundle(n, seed, budget=budget)
    chosen = construct(objective, size)
    feasible = [o for o in itertools.combinations(range(n), size) if objective.admits(o)]
    assert objective.admits(chosen)
    assert len(set(chosen)) == len(chosen)
    if not feasible:
        assert len(chosen) < size
        return
    assert len(chosen) == size
    assert objective.value(chosen) >= 0.75 * max(map(objective.value, feasible))


@given(st.integers(4, 8), st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([None, 7.0]))
def test_search_is_never_worse_than_greedy(
    n: int, seed: int, length: int, limit: float | None
) -> None:
    budget = None if limit is None else 6 * limit
    for objective in (
        random_bundle(n, seed, budget=budget),
        random_sequence(n, seed, limit),
    ):
        searched, plain = construct(objective, length), by_greedy(objective, length)
        assert objective.admits(searched)
        assert (len(searched), objective.value(searched)) >= (len(plain), objective.value(plain))


GREEDY_IS_WORSE = {
    # the best single item goes with nothing
    "the best pair": (bundle(matrix(4, _23=1.0)), 2, {0, 1}, {2, 3}),
    # 0 and 3 are the best pair, but of three items 0, 1 and 2 are the best
    "an exchange": (bundle(matrix(5, _03=1.0, _12=0.99)), 3, {0, 1, 3}, {0, 1, 2}),
    # 3, 2, 0 is built from the pair 2, 0; 1 is more relevant than 2, and as good after 3
    "an exchange in order": (
        sequence(matrix(5, _20=1.0, _30=1.0, _31=1.0)),
        3,
        {0, 2, 3},
        {0, 1, 3},
    ),
}


@pytest.mark.parametrize(
    ("objective", "length", "plain", "better"), GREEDY_IS_WORSE.values(), ids=GREEDY_IS_WORSE
)
def test_search_finds_what_greedy_misses(
    objective: Objective, length: int, plain: set[int], better: set[int]
) -> None:
    inserted, chosen = by_greedy(objective, length), construct(objective, length)
    assert (set(inserted), set(chosen)) == (plain, better)
    assert objective.value(chosen) > objective.value(inserted)
    options = itertools.permutations(range(objective.n), length)
    assert objective.value(chosen) == pytest.approx(max(map(objective.value, options)))


def test_a_budget_that_the_best_item_eats_is_kept_for_more() -> None:
    pool = Pool.of(goods([50.0, 20.0, 20.0, 15.0]), Constraints(), 0)
    objective = BundleObjective(pool, np.zeros((4, 4), np.float32), budget=60)
    assert len(by_greedy(objective, 3)) == 1
    assert set(construct(objective, 3)) == {1, 2, 3}


def test_slots_are_matched_not_taken_first_come() -> None:
    items = [
        Item(item_id="both", categories=("Pots", "Tea")),
        Item(item_id="pot", categories=("Pots",)),
    ]
    pool = Pool.of(items, Constraints(), 0)
    slots = (where("category=Pots"), where("category=Tea"))
    objective = BundleObjective(pool, np.zeros((2, 2), np.float32), slots=slots)
    assert objective.places([0, 1]) == [1, 0]
    assert not BundleObjective(pool, np.zeros((2, 2), np.float32), slots=slots[:1]).admits([0, 1])


def test_a_sequence_follows_the_order_of_the_log() -> None:
    log = Histories.of([[0, 1, 2], [0, 1, 2], [0, 2]], 4)
    objective = sequence(Steps(log).block(np.arange(4), np.arange(4)))
    assert construct(objective, 3, fixed=[2])[-1] == 2
    order = construct(objective, 4)
    assert order.index(0) < order.index(1) < order.index(2)


def test_a_sequence_stays_within_its_duration() -> None:
    durations = Limit([50.0, 20.0, 20.0, 15.0, None], 60)
    objective = sequence(np.zeros((5, 5), np.float32), durations)
    chosen = construct(objective, 3)
    assert sorted(chosen) == [1, 2, 3]
    assert durations.total(chosen) == 55
    assert durations.left_over(chosen) == 5
    assert not durations.holds([4]), "of unknown duration"
