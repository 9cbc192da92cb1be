"""Sparse item-item matrices: the strongest entries of each row, scales, products, files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import reading

Found = TypeVar("Found")

_Rows = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
"""Number of entries of each row; columns and values of all."""

_NONE: _Rows = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
_THREADS = min(4, os.cpu_count() or 1)
_BLOCK_ENTRIES = 2**23
_SHALLOW = 3
_ROWS = 2_048
_PRUNED_LEFT, _PRUNED_RIGHT = 20, 50
_WIDE = 16


@dataclass(frozen=True, slots=True)
class Extended:
    """A large sparse matrix and a small one of the same shape: their sum, which is never made.

    Attributes:
        whole: The large one.
        more: The small one.
    """

    whole: sparse.csr_array
    more: sparse.csr_array


def dense(matrix: Any) -> NDArray[np.float32]:
    """Return a sparse matrix as an array."""
    return matrix.toarray()


def n_rows(matrix: Any) -> int:
    """Return the number of rows."""
    return int(matrix.shape[0])


def row_lengths(matrix: Any) -> NDArray[np.int64]:
    """Return the number of stored entries of each row."""
    return np.diff(matrix.indptr)


def row_of(matrix: Any, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the columns and values of one row."""
    span = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[span], matrix.data[span]


def by_blocks(
    block_of: Callable[[slice], NDArray[np.float32]], n: int, n_kept: int
) -> sparse.csr_array:
    """Keep the ``n_kept`` largest positive off-diagonal entries of each row of ``[n, n]``.

    Args:
        block_of: Makes some of the rows, dense ``float32 [rows, n]``; the block is written to.
        n: Number of items.
        n_kept: Entries kept a row at most.
    """
    step = max(1, min(1024, _BLOCK_ENTRIES // max(n, 1)))

    def part(start: int) -> _Rows:
        block = block_of(slice(start, min(n, start + step)))
        block[np.arange(len(block)), np.arange(start, start + len(block))] = 0
        return _strongest(block, min(n_kept, n))

    return _stacked(side_by_side(part, range(0, n, step)), n)


def side_by_side(work: Callable[[int], Found], starts: Sequence[int]) -> list[Found]:
    """Return what ``work`` makes of each, in order, by threads: products let each other run."""
    if len(starts) <= 1:
        return [work(start) for start in starts]
    with ThreadPoolExecutor(min(_THREADS, len(starts))) as pool:
        return list(pool.map(work, starts))


def _strongest(block: NDArray[np.float32], n: int) -> _Rows:
    """Return the entries of each row that are positive and among its ``n`` largest."""
    flat = np.flatnonzero(block >= _bounds(block, n)[:, None])
    rows, columns = np.divmod(flat, block.shape[1])
    values = block.ravel()[flat]
    counts = np.bincount(rows, minlength=len(block))
    starts = np.cumsum(counts) - counts
    kept = np.ones(len(flat), np.bool_)
    for row in np.flatnonzero(counts > n).tolist():
        span = slice(starts[row], starts[row] + counts[row])
        some = values[span]
        least = np.partition(some, len(some) - n)[len(some) - n]
        kept[span] = some >= least
        if np.count_nonzero(kept[span]) > n:  # entries are as strong as the last one that fits
            best = np.argpartition(block[row], block.shape[1] - n)[-n:]
            kept[span] = np.isin(columns[span], best)
    counts = np.bincount(rows[kept], minlength=len(block))
    return counts, columns[kept].astype(np.int32), values[kept]


def _bounds(block: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Return for each row a positive number that its ``n`` largest positive entries reach.

    The n-th largest of the maxima of disjoint groups is one.
    """
    bounds = np.full(len(block), np.finfo(np.float32).smallest_subnormal)
    n_groups = 2 * n
    depth = block.shape[1] // max(n_groups, 1)
    if depth < _SHALLOW:
        return bounds
    grouped = block[:, : depth * n_groups].reshape(len(block), depth, n_groups)
    largest = grouped.max(axis=1)
    largest.partition(n, axis=1)
    return np.maximum(bounds, largest[:, n])


def _stacked(parts: Sequence[_Rows], n_columns: int) -> sparse.csr_array:
    counts, columns, values = (np.concatenate(found) for found in zip(_NONE, *parts, strict=True))
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_array((values, columns, pointers), shape=(len(counts), n_columns))


def keep_strongest(matrix: Any, n: int, *, first: int = 0) -> sparse.csr_array:
    """Keep the ``n`` largest positive entries of each row, diagonal removed, columns sorted.

    Args:
        matrix: Sparse, ``[rows, columns]``.
        n: Entries kept a row at most.
        first: Column of the diagonal in the first row, where the rows are some of a whole.
    """
    matrix = sparse.csr_array(matrix, dtype=np.float32)
    rows = np.repeat(np.arange(n_rows(matrix)), row_lengths(matrix))
    good = np.flatnonzero((matrix.data > 0) & (matrix.indices != rows + first))
    rows, columns, data = rows[good], matrix.indices[good], matrix.data[good]
    counts = np.bincount(rows, minlength=n_rows(matrix))
    starts = np.cumsum(counts) - counts
    kept = np.ones(len(data), np.bool_)
    for row in np.flatnonzero(counts > n).tolist():
        span = slice(starts[row], starts[row] + counts[row])
        kept[span] = False
        kept[starts[row] + np.argpartition(-data[span], n - 1)[:n]] = True
    counts = np.bincount(rows[kept], minlength=n_rows(matrix))
    found = _stacked([(counts, columns[kept].astype(np.int32), data[kept])], n_rows(matrix.T))
    found.sort_indices()
    return found


def rows_times(weights: Any, matrix: Any) -> Any:
    """Return ``weights @ matrix``, the same to the last bit.

    A sparse product needs room for a whole row of the result. For a few users of a large catalog
    that takes longer than the sums themselves, which are then made from the entries alone.

    Args:
        weights: ``float32 [b, n]``.
        matrix: ``float32 [n, m]``, or `Extended`.
    """
    if isinstance(matrix, Extended):
        return rows_times(weights, matrix.whole) + rows_times(weights, matrix.more)
    n_entries = int((matrix.indptr[weights.indices + 1] - matrix.indptr[weights.indices]).sum())
    n_users, width = n_rows(weights), int(matrix.shape[1])
    if n_entries * _WIDE >= width:
        return weights @ matrix
    which, columns, values = summands(weights, matrix)
    owners = np.repeat(np.arange(n_users), row_lengths(weights))[which]
    keys, where = np.unique(owners * width + columns, return_inverse=True)
    data = np.zeros(len(keys), np.float32)
    np.add.at(data, where, values)
    pointers = np.searchsorted(keys, np.arange(n_users + 1) * width)
    return sparse.csr_array(
        (data, (keys % width).astype(np.int32), pointers), shape=(n_users, width)
    )


def summands(
    weights: Any, matrix: Any
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Return the summands of ``weights @ matrix`` in order: entry of the weights, column, value."""
    if isinstance(matrix, Extended):
        first, second = summands(weights, matrix.whole), summands(weights, matrix.more)
        return (
            np.concatenate([first[0], second[0]]),
            np.concatenate([first[1], second[1]]),
            np.concatenate([first[2], second[2]]),
        )
    starts = matrix.indptr[weights.indices]
    lengths = matrix.indptr[weights.indices + 1] - starts
    which = np.repeat(np.arange(len(lengths)), lengths)
    places = (starts - (np.cumsum(lengths) - lengths))[which] + np.arange(len(which))
    return which, matrix.indices[places], matrix.data[places] * weights.data[which]


def columns_of(matrix: Any, columns: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return some columns of each row, ``[b, c]``; -1 reads the last column and means nothing."""
    width = int(matrix.shape[1])
    if (matrix.nnz + columns.size) * _WIDE < width:
        return _searched(matrix, columns)
    found = np.empty(columns.shape, np.float32)
    whole_row = np.zeros(width, np.float32)
    for row, wanted in enumerate(columns):
        stored, values = row_of(matrix, row)
        whole_row[stored] = values
        found[row] = whole_row[wanted]
        whole_row[stored] = 0
    return found


def _searched(matrix: Any, columns: NDArray[np.int32]) -> NDArray[np.float32]:
    """Do as `columns_of` does, without a whole row in memory."""
    found = np.zeros(columns.shape, np.float32)
    for row, wanted in enumerate(columns):
        stored, values = row_of(matrix, row)
        if len(stored):
            order = np.argsort(stored)
            at = np.minimum(np.searchsorted(stored, wanted, sorter=order), len(stored) - 1)
            at = order[at]
            found[row] = np.where(stored[at] == wanted, values[at], 0)
    return found


def from_rows(
    rows: Sequence[NDArray[np.int32]], values: Sequence[NDArray[np.float32]], n_columns: int
) -> sparse.csr_array:
    """Return the sparse matrix of each row's columns and values."""
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    columns = np.concatenate([np.empty(0, np.int32), *rows])
    data = np.concatenate([np.empty(0, np.float32), *values])
    return sparse.csr_array((data, columns, pointers), shape=(len(rows), n_columns))


def product(left: sparse.csr_array, right: sparse.csr_array, n: int) -> sparse.csr_array:
    """Return the ``n`` strongest entries of each row of ``left @ right``, which is square."""
    return by_blocks(lambda rows: dense(left[rows] @ right), n_rows(left), n)


def sparse_product(left: sparse.csr_array, right: sparse.csr_array, n: int) -> sparse.csr_array:
    """Do as `product` does, without dense blocks: for large results with few entries."""
    parts = [
        keep_strongest(left[start : start + _ROWS] @ right, n, first=start)
        for start in range(0, n_rows(left), _ROWS)
    ]
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def pruned_product(left: sparse.csr_array, right: sparse.csr_array, n: int) -> sparse.csr_array:
    """Approximate `product` by the strongest entries of both sides, for large matrices."""
    left, right = keep_strongest(left, _PRUNED_LEFT), keep_strongest(right, _PRUNED_RIGHT)
    return sparse_product(left, right, n)


def padded(matrix: Any, n: int) -> sparse.csr_array:
    """Return a matrix with empty rows up to ``n``, and empty columns too if it is square."""
    rows, columns = matrix.shape
    more = np.full(n - rows, matrix.indptr[-1], matrix.indptr.dtype)
    pointers = np.concatenate([matrix.indptr, more])
    width = n if rows == columns else columns
    return sparse.csr_array((matrix.data, matrix.indices, pointers), shape=(n, width))


def row_normalised(matrix: sparse.csr_array) -> sparse.csr_array:
    """Divide each row by its sum; rows of zeros stay."""
    return _rows_over(matrix, matrix.sum(axis=1))


def unit_rows(matrix: Any) -> Any:
    """Divide each row, of an array or a sparse matrix, by its length; rows of zeros stay."""
    if isinstance(matrix, np.ndarray):
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        return (matrix / np.where(norms > 0, norms, 1)).astype(np.float32)
    return _rows_over(matrix, np.sqrt(matrix.multiply(matrix).sum(axis=1)))


def _rows_over(matrix: sparse.csr_array, divisors: NDArray[np.float32]) -> sparse.csr_array:
    scaled = matrix.copy()
    divisors = np.where(divisors > 0, divisors, 1).astype(np.float32)
    scaled.data /= np.repeat(divisors, row_lengths(matrix))
    return scaled


def deviation(matrix: sparse.csr_array) -> float:
    """Return the standard deviation over all entries, the zeros among them; 1 if it is 0."""
    entries = float(n_rows(matrix)) * n_rows(matrix.T)
    data = matrix.data.astype(np.float64)
    variance = np.square(data).sum() / entries - (data.sum() / entries) ** 2
    return float(np.sqrt(variance)) if variance > 0 else 1.0


def save_arrays(folder: Path, arrays: Mapping[str, Any]) -> None:
    """Write one file an array, ``NAME.npy``, or a sparse matrix, ``NAME.npz``."""
    for name, array in arrays.items():
        if isinstance(array, np.ndarray):
            np.save(folder / f"{name}.npy", array)
        else:
            sparse.save_npz(folder / f"{name}.npz", array, compressed=False)


def load_array(folder: Path, name: str) -> Any:
    """Read an array or a sparse matrix that `save_arrays` wrote.

    Raises:
        StorageError: If there is none of this name, or it cannot be read.
    """
    path = folder / f"{name}.npy"
    if path.exists():
        with reading(path):
            return np.load(path, allow_pickle=False)
    path = path.with_suffix(".npz")
    with reading(path):
        return sparse.csr_array(sparse.load_npz(path))
