"""The parts of the ranker: examples, the fitted model, and how its order enters a list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from rag_rec.retrieval import Histories, RankerConfig
from rag_rec.retrieval.queries import QueryBatch
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.held_out import fit_and_hold_out, held_out_scores
from rag_rec.retrieval.ranker.item_statistics import Floats, ItemStats
from rag_rec.retrieval.ranker.lambdamart import Ranker, TrainingData, fit_ranker, rank_again
from rag_rec.retrieval.ranker.training_data import (
    Sampler,
    sample_best,
    sample_random,
    training_data,
)
from rag_rec.retrieval.stacked import StackedSources
from tests.retrieval.hand_made import fit_data

N = 6
CONFIG = RankerConfig(depth=3, max_users=100, rounds=20, min_leaf=5)


@pytest.fixture(scope="module")
def features() -> Features:
    """Item 0 speaks for 1 to 4, the later the stronger; item 1 for 5."""
    matrix = np.zeros((N, N), np.float32)
    matrix[0, 1:5] = 1, 2, 3, 4
    matrix[1, 5] = 1
    return Features(
        StackedSources({"a": sparse.csr_array(matrix)}, {"a": 1.0}),
        {"a": ("decayed",)},
        stats=ItemStats.fit(fit_data([[0, 1], [0, 2]], N)),
        views={},
        vectors=np.eye(N, dtype=np.float32),
    )


def test_the_best_unseen_items_are_sampled(features: Features) -> None:
    users = Histories.of([[4, 0], [1], [5]], N)
    candidates, scores = sample_best(features, users, np.zeros(3, np.int32), CONFIG)
    assert candidates.tolist() == [[3, 2, 1], [5, -1, -1], [-1, -1, -1]]
    assert scores[0] / scores[0, 2] == pytest.approx([3, 2, 1])
    assert scores[1:, 1:].tolist() == [[0, 0], [0, 0]]


def test_random_candidates_hold_what_came_next_and_are_drawn_the_same_again(
    features: Features,
) -> None:
    users = Histories.of([[0]] * 50, N)
    came_next = np.arange(50, dtype=np.int32) % N
    config = replace(CONFIG, depth=4)
    candidates, scores = sample_random(features, users, came_next, config)
    assert candidates.shape == (50, 4)
    assert set(np.unique(candidates)) <= set(range(N))
    places = [row.tolist().index(n) for row, n in zip(candidates, came_next, strict=True)]
    assert set(places) == {0, 1, 2, 3}, "no place gives it away"
    fused = features.sources.fused.toarray()[0]
    assert scores == pytest.approx(fused[candidates])
    again, _ = sample_random(features, users, came_next, config)
    other, _ = sample_random(features, users, came_next, replace(config, seed=2))
    assert (candidates == again).all()
    assert (candidates != other).any()


def examples(
    features: Features, past: list[list[int]], came_next: list[int], sample: Sampler = sample_best
) -> list[TrainingData]:
    users, target = Histories.of(past, N), np.array(came_next, np.int32)
    return list(training_data(features, users, target, config=CONFIG, sample=sample))


def test_examples_are_the_users_whose_next_item_was_a_candidate(features: Features) -> None:
    # the second user's next item is no candidate, the third has no past, the fourth has one
    (found,) = examples(features, [[4, 0], [0], [], [1]], [2, 1, 3, 5])
    assert found.groups.tolist() == [3, 1]
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.rows.shape == (4, len(found.names))
    said = found.rows[:, found.names.index("a_decayed")]
    assert said == pytest.approx([3, 2, 1, 1])


def test_where_nothing_came_next_there_are_no_examples(features: Features) -> None:
    assert examples(features, [[5], []], [0, 0]) == []
    (found,) = examples(features, [[], [5]], [0, 3], sample_random)
    assert found.groups.tolist() == [3], "nobody without a past"


def test_many_users_come_in_batches_that_join(features: Features) -> None:
    past, came_next = Histories.of([[0]] * 400, N), np.full(400, 4, np.int32)
    parts = list(training_data(features, past, came_next, config=CONFIG, sample=sample_best))
    assert len(parts) == 2
    whole = TrainingData.joined(parts)
    assert len(whole.groups) == whole.labels.sum() == 400
    assert whole.groups.sum() == len(whole.rows) == 1200
    assert whole.users.tolist() == list(range(400))


def learned(seed: int = 0) -> TrainingData:
    """Of four candidates, the one with the least ``b`` comes next; ``a`` is noise."""
    rows = np.random.default_rng(seed).random((400, 2)).astype(np.float32)
    labels = np.zeros((100, 4), np.int8)
    labels[np.arange(100), rows[:, 1].reshape(100, 4).argmin(axis=1)] = 1
    return TrainingData(rows, labels.ravel(), np.full(100, 4), np.arange(100), ("a", "b"))


class Two(Features):
    """Two features of items, in another order than the model has learned them."""

    is_new = np.zeros(400, np.bool_)

    def __init__(self, rows: Floats) -> None:
        self.rows = rows

    def __call__(
        self,
        users: Histories,  # noqa: ARG002
        candidates: np.ndarray,
        scores: Floats,  # noqa: ARG002
    ) -> dict[str, Floats]:
        return {"b": self.rows[candidates, 1], "a": self.rows[candidates, 0]}


def test_the_fitted_model_orders_by_what_it_learned_read_by_name(tmp_path: Path) -> None:
    config = replace(CONFIG, feature_share=1.0)
    model, again = (fit_ranker(learned(), config).model_to_string() for _ in range(2))
    assert model == again
    (tmp_path / "ranker.txt").write_text(model)
    fresh = learned(seed=1).rows
    ranker = Ranker(tmp_path / "ranker.txt", Two(fresh), 4)
    candidates = np.arange(400, dtype=np.int32).reshape(100, 4)
    scores = ranker.scores(
        Histories.of([[0]] * 100, 400), candidates, np.zeros((100, 4), np.float32)
    )
    first = scores.argmax(axis=1)
    least = fresh[:, 1].reshape(100, 4).argmin(axis=1)
    assert (first == least).mean() > 0.8


def test_a_ranker_is_the_same_beside_others_and_by_any_number_of_threads() -> None:
    config = replace(CONFIG, feature_share=1.0)
    model, scores = fit_and_hold_out(learned(), config)
    alone, wide = fit_ranker(learned(), config), fit_ranker(learned(), config, n_threads=2)
    texts = (model, alone.model_to_string(), wide.model_to_string())
    trees = [text.split("\nparameters:")[0] for text in texts]
    assert trees[0] == trees[1] == trees[2]
    assert (scores == held_out_scores(learned(), config)).all()


class Backwards(Ranker):
    """Ranks by the number of the item, the largest first."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def scores(
        self,
        users: Histories,
        candidates: np.ndarray,
        fused: Floats | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        assert len(users) == len(candidates)
        assert (users.lengths > 0).all()
        return candidates.astype(np.float64)


def batch(rows: list[list[int]], extra: list[dict]) -> QueryBatch:
    users = Histories.of(rows, 20)
    return QueryBatch(users, users.weights(2.0), np.zeros((len(rows), 20), np.bool_), extra)


def fused(items: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(items, np.int32), np.arange(len(items), 0, -1).astype(np.float32)


def test_items_of_the_history_keep_their_places_among_those_ranked_again() -> None:
    asked = batch([[5, 4]], [{"history": fused([4, 5])}])
    ((items, scores),) = rank_again(Backwards(2), asked, [fused([4, 2, 5, 9, 7])])
    assert items.tolist() == [4, 9, 5, 2, 7]
    assert scores.tolist() == [5, 4, 3, 2, 1]


def test_only_users_with_a_history_and_without_plain_words_are_ranked_again() -> None:
    asked = batch([[1], [], [1], [1], [1]], [{}, {}, {"profile": fused([3])}, {}, {}])
    lists = [fused([4, 9, 2, 7]), fused([4, 9]), fused([4, 9]), fused([]), fused([3, 8])]
    found = rank_again(Backwards(3), asked, lists)
    assert [items.tolist() for items, _ in found] == [[9, 4, 2, 7], [4, 9], [4, 9], [], [8, 3]]
    assert found[0][1] == pytest.approx([2, 1 + np.exp(-5), 1 + np.exp(-7), 1])
    assert found[4][1] == pytest.approx([1, np.exp(-5)])
    assert found[1][1].tolist() == [2, 1]
    without = rank_again(None, asked, lists)
    assert [items.tolist() for items, _ in without] == [items.tolist() for items, _ in lists]


@settings(deadline=None)
@given(st.lists(st.integers(2, 19), unique=True), st.integers(1, 8))
def test_ranking_again_keeps_the_items_and_scores_that_descend(
    items: list[int], depth: int
) -> None:
    ((found, scores),) = rank_again(Backwards(depth), batch([[1]], [{}]), [fused(items)])
    assert found[:depth].tolist() == sorted(items[:depth], reverse=True)
    assert found[depth:].tolist() == items[depth:]
    assert (np.diff(scores) <= 0).all()
    assert (scores >= 0).all()
