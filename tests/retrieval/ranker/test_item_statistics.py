"""What the ranker reads of items and candidates, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from rag_rec.retrieval import FitData, Histories
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.stacked import StackedSources
from tests.retrieval import hand_made

N = 4
LN2 = np.log(2)
VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32)
CANDIDATES = np.array([[2, 3, -1]], np.int32)


def fit_data(rows: list[list[int]]) -> FitData:
    attributes = [("x",), ("x",), ("y",)]
    return hand_made.fit_data(rows, N, attributes=attributes, vectors=VECTORS)


@pytest.fixture(scope="module")
def stats() -> ItemStats:
    return ItemStats.fit(fit_data([[0, 1, 2], [1, 2]]))


def test_counts_and_places_of_items(stats: ItemStats) -> None:
    assert stats.popularity.tolist() == [1, 2, 2, 0]
    assert stats.late == pytest.approx([np.exp(-1), 2 * np.exp(-0.5), 2, 0])
    assert stats.place == pytest.approx([0.5 / 2, 1 / 3, 2.5 / 3, 0.5])


def test_a_user_counts_once_and_only_the_last_five_events_are_late() -> None:
    found = ItemStats.fit(fit_data([[3, 0, 0, 1, 1, 2]]))
    assert found.popularity.tolist() == [1, 1, 1, 1]
    means = (np.exp(-2) + np.exp(-1.5)) / 2, (np.exp(-1) + np.exp(-0.5)) / 2
    assert found.late == pytest.approx([*means, 1, 0])


def test_what_follows_has_a_direction_and_what_goes_together_has_none(stats: ItemStats) -> None:
    assert stats.next.toarray().tolist() == [[0, 1, 0, 0], [0, 0, 2, 0], [0] * 4, [0] * 4]
    assert stats.together.toarray().tolist() == [[0, 1, 1, 0], [1, 0, 2, 0], [1, 2, 0, 0], [0] * 4]


def test_latent_time_solves_the_regularised_least_squares() -> None:
    # (1.3, -1; -1, 1.3) t = (-1, 1)
    found = ItemStats.fit(fit_data([[0, 1]])).time
    assert found == pytest.approx([-1 / 2.3, 1 / 2.3, 0, 0], abs=1e-4)
    chain = ItemStats.fit(fit_data([[0, 1, 2, 3]] * 20)).time
    assert np.diff(chain) == pytest.approx([1, 1, 1], abs=0.1)
    assert ItemStats.fit(fit_data([[3, 2, 1, 0]] * 20)).time == pytest.approx(-chain, abs=1e-3)


def test_attributes_are_unit_rows_weighted_by_rarity(stats: ItemStats) -> None:
    assert stats.attributes.toarray().tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]]
    two = ItemStats.fit(replace(fit_data([]), attributes=[("x", "y"), ("x",), (), ()]))
    rare, common = np.log(4), np.log(2)
    length = np.hypot(rare, common)
    assert sorted(two.attributes.toarray()[0]) == pytest.approx([common / length, rare / length])


def test_statistics_of_an_empty_log_are_finite() -> None:
    empty = ItemStats.fit(fit_data([]))
    assert not empty.popularity.any()
    assert not empty.late.any()
    assert not empty.time.any()
    assert empty.place.tolist() == [0.5] * N
    assert empty.next.nnz == empty.together.nnz == 0


def test_statistics_come_back_from_their_files(stats: ItemStats, tmp_path: Path) -> None:
    stats.save(tmp_path)
    again = ItemStats.load(tmp_path)
    for name in ("popularity", "late", "place", "time"):
        assert getattr(again, name).tolist() == getattr(stats, name).tolist()
    for name in ("attributes", "next", "together"):
        assert (getattr(again, name) != getattr(stats, name)).nnz == 0


@pytest.fixture(scope="module")
def features(stats: ItemStats) -> Features:
    """Source ``a`` says 2, 4 and 6 of the next item; ``none`` has nothing to say."""
    matrix = np.zeros((N, N), np.float32)
    matrix[[0, 1, 2], [1, 2, 3]] = 2, 4, 6
    empty = sparse.csr_array((N, N), dtype=np.float32)
    matrices = {"none": empty, "a": sparse.csr_array(matrix)}
    view = sparse.csr_array(np.eye(N, k=2, dtype=np.float32))
    return Features(
        StackedSources(matrices, {"none": 1.0, "a": 0.7}),
        {"none": ("decayed",), "a": ("decayed", "last", "all")},
        stats=stats,
        views={"view": view},
        vectors=VECTORS,
        decay=2.0,
    )


def found_by(features: Features, row: list[int]) -> dict[str, np.ndarray]:
    scores = np.array([[3, 1, 0]], np.float32)
    found = features(Histories.of([row], N), CANDIDATES, scores)
    assert all(values.shape == (1, 3) and values.dtype == np.float32 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def test_scores_of_sources_are_those_of_their_matrices_before_weights(features: Features) -> None:
    found = found_by(features, [2, 1])
    assert found["a_decayed"][:2] == pytest.approx([4, 6 * np.exp(-0.5)])
    assert found["a_last"][:2] == pytest.approx([4, 0])
    assert found["a_all"][:2] == pytest.approx([4, 6])
    assert found["a_rank"].tolist() == [0, 1, 2]
    assert found["none_decayed"].tolist() == [0, 0, 0]
    assert found["fused"].tolist() == [3, 1, 0]
    assert found["fused_share"] == pytest.approx([1, 1 / 3, 0])
    assert found["fused_rank"].tolist() == [0, 1, 2]


def test_features_of_the_log(features: Features) -> None:
    found = found_by(features, [0, 1])
    assert found["next_last"][:2].tolist() == [2, 0]
    assert found_by(features, [3, 2])["next_back"][0] == 0
    assert found["together"][:2].tolist() == [3, 0]
    rarity = 1 / np.sqrt([2, 3, 3, 1])
    cosine = (np.exp(-0.5) * rarity[0] * 1 + rarity[1] * 2) * rarity[2]
    assert found["together_cosine"][:2] == pytest.approx([cosine, 0])
    assert found["popularity"][:2] == pytest.approx([np.log(3), 0])
    assert found["late"][:2] == pytest.approx([np.log(3), 0])
    assert found["late_share"][:2] == pytest.approx([2.2 / 3, 0.2])
    assert found["length"].tolist() == [2, 2, 2]
    assert found["popularity_history"] == pytest.approx((LN2 + np.log(3)) / 2)


def test_what_candidates_were_followed_by(features: Features) -> None:
    users, candidates = Histories.of([[1, 2]], N), np.array([[0, 1, 3]], np.int32)
    found = features(users, candidates, np.zeros((1, 3), np.float32))
    # 0 was followed by 1 once, 1 by 2 twice
    assert found["next_back"][0] == pytest.approx([np.exp(-0.5), 2, 0])


def test_features_of_texts_and_of_time(features: Features, stats: ItemStats) -> None:
    found = found_by(features, [0, 1])
    assert found["vectors_last"][:2] == pytest.approx([0.8, 0])
    assert found["vectors_most"][:2] == pytest.approx([0.8, 0])
    assert found["vectors_mean"][:2] == pytest.approx([0.7, -0.5])
    assert found["view"][:2] == pytest.approx([np.exp(-0.5), 1])
    assert found["attributes_share"][:2].tolist() == [0, 0]
    assert found["attributes_popularity"][:2] == pytest.approx([np.log1p(2), 0])
    assert found["time_since_last"][0] == pytest.approx(stats.time[2] - stats.time[1])
    assert found["time_since"][0] == pytest.approx(stats.time[2] - stats.time[:2].mean())
    assert found["popularity_last"] == pytest.approx(np.log(3))
    alike = found_by(features, [1, 2])
    assert alike["attributes_last"][0] == 1
    assert alike["attributes_share"][0] == 0.5
    assert alike["attributes_decayed"][0] == 1
    users, candidates = Histories.of([[0, 1, 2]], N), np.array([[3, 2, 0]], np.int32)
    share = features(users, candidates, np.zeros((1, 3), np.float32))["attributes_share"]
    assert share[0] == pytest.approx([0, 1 / 3, 2 / 3])


def test_fused_scores_of_given_candidates_are_the_weighted_sum(features: Features) -> None:
    found = features.fused_at(Histories.of([[2, 1]], N), CANDIDATES)[0]
    factor = features.sources.factors["a"]
    assert found[:2] == pytest.approx([4 * factor, 6 * np.exp(-0.5) * factor])
    entries = np.array([2, 4, 6] + [0] * 13)
    assert factor == pytest.approx(0.7 / entries.std())
