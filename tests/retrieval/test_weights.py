"""The search for weights finds what was planted; large catalogs get nearly the same evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from rag_rec.retrieval.budget import Budget
from rag_rec.retrieval.fusion.stacked import Evidence, best
from rag_rec.retrieval.fusion.weights import SearchConfig, Weighting, search_weights
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import (
    columns_of,
    keep_strongest,
    product,
    pruned_product,
    row_lengths,
    rows_times,
)
from rag_rec.retrieval.neighbours import (
    clustered_neighbours,
    cosine_neighbours,
    rare_word_neighbours,
)

N_ITEMS = 60


def planted(rng: np.random.Generator) -> tuple[Evidence, Histories, np.ndarray]:
    """What comes next follows the event before the last by the rule of source ``true``."""
    step = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    step[np.arange(N_ITEMS), (np.arange(N_ITEMS) + 7) % N_ITEMS] = 1
    noise = rng.random((N_ITEMS, N_ITEMS)).astype(np.float32)
    np.fill_diagonal(noise, 0)
    matrices = {"noise": sparse.csr_array(noise), "true": sparse.csr_array(step)}
    rows = [rng.permutation(N_ITEMS)[:4].tolist() for _ in range(400)]
    came_next = np.array([(row[1] + 7) % N_ITEMS for row in rows], np.int32)
    kept = [u for u, row in enumerate(rows) if came_next[u] not in row]
    weights = {"noise": 1.0, "true": 0.05}
    past = Histories.of([rows[u] for u in kept], N_ITEMS)
    return Evidence(matrices, weights), past, came_next[kept]


def test_the_search_turns_to_the_source_that_knows() -> None:
    evidence, past, came_next = planted(np.random.default_rng(3))
    start = Weighting({"noise": 1.0, "true": 0.05}, decay=2.0)
    found = search_weights(evidence, past, came_next, start, SearchConfig(seconds=20))
    assert found.sources["true"] / found.sources["noise"] > 0.5
    assert found.decay > start.decay, "the event that matters is an old one"
    again = search_weights(evidence, past, came_next, start, SearchConfig(seconds=20))
    assert again == found


def test_without_time_nothing_changes() -> None:
    evidence, past, came_next = planted(np.random.default_rng(3))
    start = Weighting({"noise": 1.0, "true": 0.05}, decay=2.0)
    assert search_weights(evidence, past, came_next, start, SearchConfig(seconds=0)) == start


def test_the_replay_gets_weight_where_people_come_back() -> None:
    evidence, past, _ = planted(np.random.default_rng(5))
    start = Weighting({"noise": 1.0, "true": 0.05}, replay=0.05)
    last = np.array([past.row(user)[-1] for user in range(len(past))], np.int32)
    found = search_weights(evidence, past, last, start, SearchConfig(seconds=20))
    assert found.replay > 4 * start.replay


def clustered_rows(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 32))
    rows = centres[rng.integers(0, 40, n)] + 0.6 * rng.normal(size=(n, 32))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def overlap(found: sparse.csr_array, exact: sparse.csr_array) -> float:
    """Share of the exact entries that were found."""
    both = found.astype(bool).multiply(exact.astype(bool))
    return both.nnz / exact.nnz


def test_neighbours_within_clusters_are_nearly_the_nearest() -> None:
    rows = clustered_rows(3_000)
    exact, found = cosine_neighbours(rows, 20), clustered_neighbours(rows, 20)
    assert overlap(found, exact) > 0.9
    assert found.diagonal().sum() == 0
    shared = found.multiply(exact.astype(bool)).tocsr()
    shared.eliminate_zeros()
    expected = exact.multiply(found.astype(bool)).tocsr()
    expected.eliminate_zeros()
    assert shared.data == pytest.approx(expected.data, abs=1e-5)


def test_few_rows_are_compared_as_well() -> None:
    rows = clustered_rows(5)
    assert overlap(clustered_neighbours(rows, 20), cosine_neighbours(rows, 20)) == 1


def test_equal_rows_and_rows_of_nothing_have_their_place_in_clusters() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(2_500, 16)).astype(np.float32)
    rows[::2] = rows[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[5::10] = 0
    found = clustered_neighbours(rows, 20)
    lengths = np.diff(found.indptr)
    assert (lengths[5::10] == 0).all()
    assert (lengths[::2] == 20).all()
    assert not np.isin(found.indices, np.arange(5, 2_500, 10)).any()
    assert clustered_neighbours(np.zeros((9, 4), np.float32), 3).nnz == 0


def test_rare_words_alone_are_exact_where_all_words_are_rare() -> None:
    rng = np.random.default_rng(2)
    words = sparse.random_array((500, 300), density=0.02, rng=rng, dtype=np.float32).tocsr()
    norms = np.sqrt(words.multiply(words).sum(axis=1))
    words.data /= np.repeat(np.where(norms > 0, norms, 1), row_lengths(words))
    exact, found = cosine_neighbours(words, 10), rare_word_neighbours(words, 10)
    assert found.toarray() == pytest.approx(exact.toarray(), abs=1e-6)


def test_a_pruned_product_is_the_product_of_the_strongest() -> None:
    rng = np.random.default_rng(4)
    left, right = (
        keep_strongest(sparse.random_array((300, 300), density=0.03, rng=rng).tocsr(), 20)
        for _ in range(2)
    )
    exact, found = product(left, right, 30), pruned_product(left, right, 30)
    assert found.toarray() == pytest.approx(exact.toarray(), abs=1e-5)


def test_columns_of_rows() -> None:
    matrix = sparse.csr_array(np.array([[0, 2, 0], [1, 0, 3]], np.float32))
    assert columns_of(matrix, np.array([[1, 0], [2, -1]], np.int32)).tolist() == [[2, 0], [3, 3]]


def test_a_budget_keeps_fewer_entries_of_larger_catalogs() -> None:
    budget = Budget(memory_gib=4)
    kept = [budget.per_row(n, 300) for n in (10_000, 100_000, 1_000_000, 100_000_000)]
    assert kept[0] == 300
    assert kept == sorted(kept, reverse=True)
    assert kept[2] * 1_000_000 * 8 * 32 <= 4 * 2**30
    assert kept[3] == 10


@given(
    st.dictionaries(st.integers(0, 2**31 - 1), st.sampled_from([-1.0, -0.0, 0.0, 1e-30, 0.5, 3.0])),
    st.integers(1, 20),
)
def test_the_best_are_the_largest_positive_values_ties_by_item(
    entries: dict[int, float], n: int
) -> None:
    items = np.array(list(entries), np.int32)
    found, values = best(items, np.array(list(entries.values()), np.float32), n)
    positive = [(-np.float32(value), item) for item, value in entries.items() if value > 0]
    expected = sorted(positive)[:n]
    assert list(zip((-values).tolist(), found.tolist(), strict=True)) == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from([40, 20_000, 80_000]))
def test_few_rows_times_a_wide_matrix_are_the_product_to_the_bit(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    weights = sparse.csr_array(sparse.random(4, 30, 0.2, "csr", np.float32, rng))
    matrix = sparse.csr_array(sparse.random(30, width, 8 / width, "csr", np.float32, rng))
    found, expected = rows_times(weights, matrix), (weights @ matrix).toarray()
    assert (found.toarray() == expected).all()
    wanted = rng.integers(0, width, (4, 9)).astype(np.int32)
    assert (columns_of(found, wanted) == np.take_along_axis(expected, wanted, 1)).all()
