"""Co-occurrence: what users took near an item; stands in where a closed form does not fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import FitData
from rag_rec.retrieval.matrices import keep_strongest


@dataclass(frozen=True, slots=True)
class Cooccurrence:
    """Co-occurrence within a user, strongest for what came soon after.

    An event ``gap`` places after another adds ``exp(-(gap - 1) / decay)`` to that pair, and a
    fraction `backward` of it to the reversed pair. Counts are divided by the geometric mean of
    both items' counts plus `shrink`, which tempers popular and rare items.

    Attributes:
        n_neighbours: Neighbours kept an item.
        window: Largest gap, in events.
        decay: Gaps count for 1/e less at this distance.
        backward: Share of a pair's weight that counts in the other direction.
        shrink: Added to the denominator, in events.
    """

    n_neighbours: int = 200
    window: int = 10
    decay: float = 3.0
    backward: float = 0.3
    shrink: float = 3.0

    def fit(self, data: FitData) -> sparse.csr_array:
        """Normalised, decayed co-occurrence."""
        n, events = data.n_items, data.log.items
        counts, owners = data.log.counts(), data.log.owners
        pairs = sparse.csr_array((n, n), dtype=np.float32)
        for gap in range(1, self.window + 1):
            same = owners[gap:] == owners[:-gap]
            before, after = events[:-gap][same], events[gap:][same]
            weight = np.full(len(before), np.exp(-(gap - 1) / self.decay), np.float32)
            pairs = pairs + sparse.csr_array((weight, (before, after)), shape=(n, n))
        pairs = sparse.coo_array(pairs + self.backward * pairs.T)
        scale = np.sqrt(counts[pairs.row] * counts[pairs.col]) + self.shrink
        scaled = sparse.csr_array((pairs.data / scale, (pairs.row, pairs.col)), shape=(n, n))
        return keep_strongest(scaled, self.n_neighbours)
