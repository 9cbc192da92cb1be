"""The dense solve behind the closed forms, and the items that are left out of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import get_lapack_funcs

from rag_rec.retrieval.matrices import n_rows


def ridge_inverse(gram: sparse.csr_array, ridge: float) -> NDArray[np.float32]:
    """Return ``(gram + ridge I)^-1`` as float32, by Cholesky in place: one ``[n, n]`` array.

    Raises:
        numpy.linalg.LinAlgError: If the matrix is not positive definite.
    """
    if not n_rows(gram):
        return np.empty((0, 0), np.float32)
    factorise, invert = get_lapack_funcs(("potrf", "potri"), dtype=np.float32)
    dense = gram.astype(np.float32).toarray(order="F")
    dense[np.diag_indices_from(dense)] += ridge
    factor, failed = factorise(dense, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise np.linalg.LinAlgError(f"the gram matrix is not positive definite ({failed})")
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
