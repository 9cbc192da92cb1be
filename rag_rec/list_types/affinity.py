"""Affinity of items: taken together, and taken one after the other, learned from the log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import VectorRows
from rag_rec.retrieval import Histories

_SHRINK = 2.0


def pair_counts(baskets: Histories, window: int | None) -> sparse.csr_array:
    """Return how often ``column`` follows ``row``, ``float32 [n, n]``; distant events count less.

    Args:
        baskets: Histories in time order, or sets in any.
        window: Events at most between the two, plus one; None counts all pairs of a basket as 1.
    """
    n = baskets.n_items
    reach = window or int(max(baskets.lengths, default=0)) - 1
    counts = sparse.csr_array((n, n), dtype=np.float32)
    for distance in range(1, reach + 1):
        first, second = baskets.pairs(distance)
        kept = (first >= 0) & (second >= 0) & (first != second)
        weight = np.full(int(kept.sum()), 1.0 if window is None else 1 / distance, np.float32)
        counts = counts + sparse.csr_array((weight, (first[kept], second[kept])), shape=(n, n))
    return sparse.csr_array(counts)


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the kinds of evidence that items go together.

    Attributes:
        pairs: Items taken together.
        groups: Categories taken together, for items too rare to say.
        text: Descriptions alike.
    """

    pairs: float = 1.0
    groups: float = 0.3
    text: float = 0.3


class Affinity:
    """Affinity of items that go together.

    Co-purchase of items is the cosine of who took them, shrunk where few did; that of categories
    likewise. Texts speak where the log does not.

    Args:
        baskets: Who took what together.
        groups: A number for each item's category, -1 for none, ``int64 [n]``.
        vectors: Unit rows, ``float32 [n, d]``.
        weights: How much each counts.
        window: See `pair_counts`.
    """

    def __init__(
        self,
        baskets: Histories,
        groups: NDArray[np.int64],
        vectors: VectorRows,
        *,
        weights: Weights | None = None,
        window: int | None = None,
    ) -> None:
        self._weights = weights or Weights()
        self._groups, self._vectors = groups, vectors
        follows = pair_counts(baskets, window)
        together = sparse.csr_array(follows + follows.T)
        self._pairs = _cosines(together)
        n_groups = int(groups.max(initial=-1)) + 1
        known = np.flatnonzero(groups >= 0)
        ones = np.ones(len(known), np.float32)
        member = sparse.csr_array((ones, (known, groups[known])), shape=(len(groups), n_groups))
        self._group_pairs = _cosines(sparse.csr_array(member.T @ together @ member))

    def block(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the affinity of each row's item and each column's, ``float32 [rows, columns]``."""
        weights = self._weights
        pairs: NDArray[np.float32] = self._pairs[rows][:, columns].toarray()
        groups = _looked_up(self._group_pairs, self._groups[rows], self._groups[columns])
        text = np.maximum(self._vectors[rows] @ self._vectors[columns].T, 0)
        total = weights.pairs * pairs + weights.groups * groups + weights.text * text
        return total.astype(np.float32)


class Steps:
    """Affinity of an item to those that come after it.

    The share of users who took the second later than the first, shrunk towards a half, times how
    often the two are taken together at all.

    Args:
        log: Users' events in time order.
        window: See `pair_counts`.
    """

    def __init__(self, log: Histories, *, window: int = 5) -> None:
        self._follows = pair_counts(log, window)
        self._together = _cosines(sparse.csr_array(self._follows + self._follows.T))

    def block(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return how well the column comes after the row, ``float32 [rows, columns]``, -1 to 1.

        Negative where the log has them the other way round.
        """
        forward: NDArray[np.float32] = self._follows[rows][:, columns].toarray()
        backward: NDArray[np.float32] = self._follows[columns][:, rows].toarray().T
        direction = (forward - backward) / (forward + backward + _SHRINK)
        together: NDArray[np.float32] = self._together[rows][:, columns].toarray()
        return (direction * (0.5 + 0.5 * together)).astype(np.float32)


def _cosines(together: sparse.csr_array) -> sparse.csr_array:
    """Return shrunk cosines from counts of pairs."""
    found = sparse.coo_array(together)
    totals = np.asarray(together.sum(axis=1)).ravel()
    values = np.asarray(found.data, np.float32)
    row, column = found.coords
    scale = np.sqrt(totals[row] * totals[column])
    shrunk = values / np.where(scale > 0, scale, 1) * (values / (values + _SHRINK))
    return sparse.csr_array((shrunk.astype(np.float32), (row, column)), shape=together.shape)


def _looked_up(
    matrix: sparse.csr_array, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return entries of a matrix at numbers that may be -1, which give 0."""
    if not matrix.nnz:
        return np.zeros((len(rows), len(columns)), np.float32)
    found: NDArray[np.float32] = matrix[np.maximum(rows, 0)][:, np.maximum(columns, 0)].toarray()
    found[rows < 0] = 0
    found[:, columns < 0] = 0
    return found
