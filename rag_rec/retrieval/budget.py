"""`Budget`: what of a catalog fits the memory, and so how it is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.histories import Histories

_BYTES_OF_ENTRY = 8  # float32 and int32
_COPIES = 32  # views, sources, the sources side by side, their sum, and what that is made of


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a fit.

    Attributes:
        memory_gib: Largest working set; the rest of the process comes on top.
        exact_items: Up to so many items every pair of texts is compared. Beyond, vectors are
            compared within clusters and words only where they are rare.
    """

    memory_gib: float = 6.0
    exact_items: int = 40_000

    def dense_head(self, log: Histories) -> NDArray[np.int64]:
        """Items whose dense solve fits, ascending: all, or the most frequent.

        The working set is two ``float32 [n, n]``: the matrix inverted in place, and as much again
        for the sparse product it is filled from, LAPACK's blocks and the rows being cut.
        """
        fitting = int(np.sqrt(self.memory_gib * 2**30 / (2 * 4)))
        if log.n_items <= fitting:
            return np.arange(log.n_items)
        order = np.argsort(-log.counts(), kind="stable")
        return np.sort(order[:fitting])

    def per_row(self, n_items: int, wanted: int) -> int:
        """Entries of each row that a source may keep, at most ``wanted`` and at least 10."""
        fitting = self.memory_gib * 2**30 / (_BYTES_OF_ENTRY * _COPIES * max(n_items, 1))
        return min(wanted, max(10, int(fitting)))

    def compares_all(self, n_items: int) -> bool:
        """Whether every pair of texts is compared."""
        return n_items <= self.exact_items
