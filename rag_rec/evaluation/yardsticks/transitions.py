"""`TransitionGraph`: the items that followed each item in the log of a fit, and rings in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval import Histories, dense

_BLOCK_ENTRIES = 2**22

Ring = NDArray[np.bool_]
"""``bool [b, n]``: True for the items of the catalog that are in the ring around each of b."""


@dataclass(frozen=True, slots=True)
class TransitionGraph:
    """A directed graph over the catalog: an edge where one item came right after the other.

    Attributes:
        counts: ``float32 [n, n]``; how often the item of the column followed that of the row.
    """

    counts: sparse.csr_array
    n_items: int

    @classmethod
    def of(cls, log: Histories) -> TransitionGraph:
        """Return the graph of neighbouring events in a log; unknown items are in no edge."""
        before, after = log.pairs(1)
        known = (before >= 0) & (after >= 0)
        ones = np.ones(int(known.sum()), np.float32)
        shape = (log.n_items, log.n_items)
        pairs = sparse.coo_array((ones, (before[known], after[known])), shape=shape)
        return cls(sparse.csr_array(pairs), log.n_items)

    def rings(self, items: NDArray[np.int32]) -> Iterator[tuple[NDArray[np.int32], Ring, Ring]]:
        """Yield some of the items with the rings around them, one and two steps away.

        The second ring has neither the items of the first nor the item itself.

        Args:
            items: The items in the middle, ``item_ix``.
        """
        linked = sparse.csr_array(self.counts > 0, dtype=np.float32)
        step = max(1, _BLOCK_ENTRIES // max(self.n_items, 1))
        for start in range(0, len(items), step):
            some = items[start : start + step]
            near = sparse.csr_array(linked[some])
            first = dense(near) > 0
            second = (dense(near @ linked) > 0) & ~first
            second[np.arange(len(some)), some] = False
            yield some, first, second
