"""`StackedSources`: the fitted sources side by side, weighted for their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.matrices import Extended, deviation, n_rows, padded

_ITEM_BITS = 2**32 - 1
_SHALLOW = 4

ItemScores = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Distinct items, and the score of each."""


class StackedSources:
    """All source matrices as one product: ``weights @ stacked`` holds every source's scores.

    Attributes:
        names: The sources that say something, in the order they are stacked.
        weights: Weight of each source.
        n_items: Number of rows ``n``; the items of the matrices by default.
        factors: Factor of each source: its weight over its standard deviation.
        stacked: ``float32 [n, sources * n]``; source s has the columns from ``s * n``.
    """

    def __init__(
        self,
        matrices: Mapping[str, sparse.csr_array],
        weights: Mapping[str, float],
        n_items: int | None = None,
    ) -> None:
        self.names = tuple(n for n, matrix in matrices.items() if matrix.nnz and weights[n])
        self.weights = dict(weights)
        self.n_items: int = n_items or n_rows(next(iter(matrices.values())))
        self.factors = factors_of(matrices, weights)
        empty = sparse.csr_array((self.n_items, self.n_items), dtype=np.float32)
        parts = [
            padded(matrices[name] * np.float32(self.factors[name]), self.n_items)
            for name in self.names
        ] or [empty]
        self.stacked: Any = sparse.csr_array(sparse.hstack(parts, format="csr"), dtype=np.float32)

    def extended(self, more: Mapping[str, sparse.csr_array]) -> StackedSources:
        """Return these sources with further entries.

        Args:
            more: A few entries of some sources, ``float32 [n, n]``, on the scale of their matrices.
        """
        parts = [
            more.get(name, sparse.csr_array((self.n_items, self.n_items), dtype=np.float32))
            * np.float32(self.factors[name])
            for name in self.names
        ]
        wider = copy(self)
        wider.stacked = Extended(self.stacked, sparse.csr_array(sparse.hstack(parts, format="csr")))
        wider.fused = Extended(self.fused, sparse.csr_array(sum(parts[1:], parts[0])))
        return wider

    @cached_property
    def fused(self) -> Any:
        """``float32 [n, n]``, the sum of the sources; made when first asked for, as it is large."""
        names = iter(self.names)
        first = next(names, None)
        if first is None:
            return sparse.csr_array((self.n_items, self.n_items), dtype=np.float32)
        total = self.matrix(first)
        for name in names:
            total = total + self.matrix(name)
        return sparse.csr_array(total, dtype=np.float32)

    def matrix(self, name: str) -> sparse.csr_array:
        """Return one source's weighted matrix ``float32 [n, n]``."""
        start = self.names.index(name) * self.n_items
        return sparse.csr_array(self.stacked[:, start : start + self.n_items])


def factors_of(
    matrices: Mapping[str, sparse.csr_array], weights: Mapping[str, float]
) -> dict[str, float]:
    """Return weight over standard deviation of each source that has entries."""
    return {name: weights[name] / deviation(m) for name, m in matrices.items() if m.nnz}


def order_keys(items: NDArray[np.int32], values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return keys that ascend with the value and, where values are equal, descend with the item.

    Positive floats order like their bits; keys of values that are not positive are below 2**32.
    """
    return (values.view(np.int32).astype(np.int64) << 32) | (_ITEM_BITS - items.astype(np.int64))


def best(items: NDArray[np.int32], values: NDArray[np.float32], n: int) -> ItemScores:
    """Return the ``n`` largest positive values, largest first, ties by item.

    Args:
        items: Distinct items.
        values: The score of each.
        n: Largest number of items.
    """
    return _decoded(_largest(order_keys(items, values), n))


def with_places_kept(found: ItemScores, others: ItemScores, depth: int, places: int) -> ItemScores:
    """Return the best items with the last ``places`` of the first ``depth`` given to others.

    Others that are among the best anyway take no place.

    Args:
        found: Items, best first.
        others: The best of some kind, best first, ``places`` or fewer.
        depth: Items that are looked at further.
        places: How many of them are kept.
    """
    items, values = found
    head = depth - places
    apart = ~_among(others[0], items[:head])
    chosen, scores = others[0][apart], others[1][apart]
    rest = ~_among(items[head:], chosen)
    return (
        np.concatenate([items[:head], chosen, items[head:][rest]]),
        np.concatenate([values[:head], scores, values[head:][rest]]),
    )


def best_of_rows(keys: NDArray[np.int64], ends: Sequence[int], n: int) -> list[ItemScores]:
    """Return `best` of each row of a sparse matrix, from its entries' keys and row pointer."""
    chosen = [_largest(keys[start:end], n) for start, end in pairwise(ends)]
    items, values = _decoded(np.concatenate([np.empty(0, np.int64), *chosen]))
    cuts = [0, *accumulate(map(len, chosen))]
    return [(items[start:end], values[start:end]) for start, end in pairwise(cuts)]


def _among(items: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Do as `numpy.isin` does, for a few others: it sorts, which takes longer than comparing."""
    return (items[:, None] == others).any(axis=1)


def _largest(keys: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    keys = _not_small(keys, n)
    if len(keys) > n:
        keys = np.partition(keys, len(keys) - n)[len(keys) - n :]
    keys = np.sort(keys)
    return keys[np.searchsorted(keys, _ITEM_BITS, side="right") :][::-1]


def _not_small(keys: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Leave most of the keys out that are not among the ``n`` largest.

    The n-th largest of the maxima of disjoint groups is a bound: so many keys are no smaller.
    """
    n_groups = 2 * n
    depth = len(keys) // max(n_groups, 1)
    if not n or depth <= _SHALLOW:
        return keys
    largest = keys[: depth * n_groups].reshape(depth, n_groups).max(axis=0)
    return keys[keys >= np.partition(largest, n)[n]]


def _decoded(keys: NDArray[np.int64]) -> ItemScores:
    items = _ITEM_BITS - (keys & _ITEM_BITS)
    return items.astype(np.int32), (keys >> 32).astype(np.int32).view(np.float32)
