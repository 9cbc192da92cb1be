"""The dense solve behind the closed forms, and the items that are left out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import get_lapack_funcs

from rag_rec.retrieval.matrices import n_rows, row_lengths

_LEAST_SHARE = 0.02
"""Of the items apart from each other, below which a dense inverse is as fast."""

_ROWS = 512
_REFUSED = "the gram matrix is not positive definite"

_MOST_ENTRIES = 500
"""Of an item that is eliminated: it fills in entries between all the others that it has."""


def ridge_inverse(gram: sparse.csr_array, ridge: float) -> NDArray[np.float32]:
    """Return ``(gram + ridge I)^-1`` as float32, symmetric and in column order.

    Items of which no two share a user are eliminated exactly, for next to nothing, as long as there
    are some; what is left is inverted densely. The working set is two ``[n, n]`` arrays.

    Raises:
        numpy.linalg.LinAlgError: If the matrix is not positive definite.
    """
    n = n_rows(gram)
    ridges = sparse.diags_array(np.full(n, float(ridge)), shape=(n, n))
    return _inverse(sparse.csr_array(gram.astype(np.float64) + ridges))


def _inverse(matrix: Any) -> NDArray[np.float32]:
    """Return the inverse of a positive definite matrix by blocks (Schur complement).

    With ``D`` the diagonal block of the items that are apart from each other, ``W = D^-1 B`` and
    ``S = C - B' W``, the blocks of the inverse are ``S^-1``, ``-W S^-1`` and ``D^-1 + W S^-1 W'``.
    """
    n = n_rows(matrix)
    apart = _apart(matrix)
    if np.count_nonzero(apart) < max(1, _LEAST_SHARE * n):
        return _dense_inverse(matrix)
    ours, rest = np.flatnonzero(apart), np.flatnonzero(~apart)
    pivots = matrix.diagonal()[ours]
    if pivots.min() <= 0:
        raise np.linalg.LinAlgError(f"{_REFUSED} (a pivot of {pivots.min():g})")
    over: Any = sparse.diags_array(1 / pivots, shape=(len(ours), len(ours)))
    across: Any = sparse.csr_array(matrix[ours][:, rest])
    lent: Any = sparse.csr_array(over @ across)
    core = _inverse(sparse.csr_array(matrix[rest][:, rest] - across.T @ lent))
    lent = lent.astype(np.float32)
    side = -(lent @ core.T)  # symmetric, and this way in row order
    corner = (over - lent @ side.T).astype(np.float32)
    place = np.argsort(np.concatenate([rest, ours]))
    found = np.empty((n, n), np.float32)
    for rows, left, right in ((rest, core.T, side.T), (ours, side, corner)):
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            whole = np.concatenate([left[part], right[part]], axis=1)
            found[rows[part]] = whole.take(place, axis=1)
    return found.T


def _apart(matrix: Any) -> NDArray[np.bool_]:
    """Mark items of which no two have an entry in common, those with the fewest entries first."""
    lengths = row_lengths(matrix)
    chosen, taken = np.zeros(len(lengths), np.bool_), np.zeros(len(lengths), np.bool_)
    pointers, columns = matrix.indptr.tolist(), matrix.indices
    few = np.flatnonzero(lengths <= _MOST_ENTRIES)
    for item in few[np.argsort(lengths[few], kind="stable")].tolist():
        if not taken[item]:
            chosen[item] = True
            taken[columns[pointers[item] : pointers[item + 1]]] = True
    return chosen


def _dense_inverse(matrix: sparse.csr_array) -> NDArray[np.float32]:
    """Invert by Cholesky in place: one ``[n, n]`` array."""
    if not n_rows(matrix):
        return np.empty((0, 0), np.float32)
    factorise, invert = get_lapack_funcs(("potrf", "potri"), dtype=np.float32)
    dense = matrix.astype(np.float32).toarray(order="F")
    factor, failed = factorise(dense, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise np.linalg.LinAlgError(f"{_REFUSED} ({failed})")
    inverse, _ = invert(factor, lower=1, overwrite_c=1)
    _mirror(inverse)
    return inverse


def _mirror(lower: NDArray[np.float32], step: int = 2048) -> None:
    """Copy the lower triangle to the upper one."""
    for start in range(0, len(lower), step):
        stop = min(len(lower), start + step)
        corner = np.tril(lower[start:stop, start:stop])
        lower[start:stop, start:stop] = corner + np.tril(corner, -1).T
        lower[start:stop, stop:] = lower[stop:, start:stop].T


def spread(matrix: sparse.csr_array, head: NDArray[np.int64], n: int) -> sparse.csr_array:
    """Return a matrix over the head as one over all ``n`` items."""
    if len(head) == n:
        return matrix
    entries = matrix.tocoo()
    return sparse.csr_array((entries.data, (head[entries.row], head[entries.col])), shape=(n, n))


def with_tail(
    closed: sparse.csr_array, counted: sparse.csr_array, head: NDArray[np.int64]
) -> sparse.csr_array:
    """Return the closed form on the head, and co-occurrence for pairs with an item outside of it.

    Co-occurrence is scaled so that its sum over the head equals that of the closed form.
    """
    inside = np.zeros(n_rows(closed), np.bool_)
    inside[head] = True
    entries = counted.tocoo()
    both = inside[entries.row] & inside[entries.col]
    scale = closed.sum() / (entries.data[both].sum() or 1.0) if both.any() else 1.0
    rest = (entries.row[~both], entries.col[~both])
    values = (entries.data[~both] * scale).astype(np.float32)
    return sparse.csr_array(closed + sparse.csr_array((values, rest), shape=closed.shape))
