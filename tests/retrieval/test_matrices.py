"""Sparse products and neighbours: exact where they must be, nearly so in large catalogs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from rag_rec.core import StorageError
from rag_rec.retrieval import Budget
from rag_rec.retrieval.matrices import (
    by_blocks,
    columns_of,
    keep_strongest,
    load_array,
    product,
    pruned_product,
    row_lengths,
    rows_times,
    save_arrays,
    unit_rows,
)
from rag_rec.retrieval.neighbours import (
    clustered_neighbours,
    nearest_rows,
    rare_neighbours,
)
from rag_rec.retrieval.stacked import best


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_keeping_the_strongest_is_exact(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(12, 12)) * (rng.random((12, 12)) < 0.6)
    kept = keep_strongest(sparse.csr_array(dense), n).toarray()
    wanted = np.where(dense > 0, dense, 0)
    np.fill_diagonal(wanted, 0)
    for row, expected in zip(kept, wanted, strict=True):
        assert np.sort(row)[::-1][:n] == pytest.approx(np.sort(expected)[::-1][:n], rel=1e-6)
        assert (row > 0).sum() == min(n, (expected > 0).sum())


def test_neighbours_are_the_nearest_and_never_the_item_itself() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(700, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[5] = 0
    matrix = nearest_rows(vectors, 10, every_pair=True).toarray()
    exact = np.maximum(vectors @ vectors.T, 0)
    np.fill_diagonal(exact, 0)
    assert matrix.diagonal().sum() == 0
    assert matrix[5].sum() == 0
    assert np.allclose(np.sort(matrix)[:, -10:], np.sort(exact)[:, -10:], atol=1e-5)


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
    exact, found = nearest_rows(rows, 20, every_pair=True), clustered_neighbours(rows, 20)
    assert overlap(found, exact) > 0.9
    assert found.diagonal().sum() == 0
    shared = found.multiply(exact.astype(bool)).tocsr()
    shared.eliminate_zeros()
    expected = exact.multiply(found.astype(bool)).tocsr()
    expected.eliminate_zeros()
    assert shared.data == pytest.approx(expected.data, abs=1e-5)


def test_few_rows_are_compared_as_well() -> None:
    rows = clustered_rows(5)
    assert overlap(clustered_neighbours(rows, 20), nearest_rows(rows, 20, every_pair=True)) == 1


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
    exact, found = nearest_rows(words, 10, every_pair=True), rare_neighbours(words, 10)
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


@given(st.integers(0, 2**32 - 1))
def test_unit_rows_are_the_same_of_an_array_and_of_a_sparse_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(6, 5)) * (rng.random((6, 5)) < 0.5)).astype(np.float32)
    rows[2] = 0
    found = unit_rows(rows)
    assert found.dtype == np.float32
    assert unit_rows(sparse.csr_array(rows)).toarray() == pytest.approx(found, abs=1e-6)
    lengths = np.linalg.norm(found, axis=1)
    assert lengths == pytest.approx(np.where(rows.any(axis=1), 1, 0), abs=1e-6)


def test_arrays_come_back_from_files(tmp_path: Path) -> None:
    matrix = sparse.csr_array(np.array([[0, 2], [1, 0]], np.float32))
    save_arrays(tmp_path, {"numbers": np.arange(3), "matrix": matrix})
    assert load_array(tmp_path, "numbers").tolist() == [0, 1, 2]
    assert load_array(tmp_path, "matrix").toarray().tolist() == matrix.toarray().tolist()
    with pytest.raises(StorageError):
        load_array(tmp_path, "nothing")


def plainly_strongest(row: np.ndarray, n: int) -> list[float]:
    return sorted((value for value in row.tolist() if value > 0), reverse=True)[:n]


@settings(deadline=None)
@given(st.integers(1, 90), st.integers(1, 9), st.integers(1, 60), st.integers(0, 99))
def test_the_strongest_of_blocks_are_those_of_each_row(
    n: int, n_kept: int, levels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(-levels, levels, (n, n)).astype(np.float32)  # a few levels: many ties
    wanted = dense.copy()
    np.fill_diagonal(wanted, 0)
    for found in (
        by_blocks(lambda rows: dense[rows].copy(), n, n_kept),
        keep_strongest(sparse.csr_array(dense), n_kept),
    ):
        assert found.has_sorted_indices
        kept = found.toarray()
        assert ((kept == wanted) | (kept == 0)).all()
        for row, own in zip(kept, wanted, strict=True):
            assert plainly_strongest(row, n) == plainly_strongest(own, n_kept)
