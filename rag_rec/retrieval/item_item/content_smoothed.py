"""Smoothed: sequence evidence lent to items that are described alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from rag_rec.retrieval.budget import Budget
from rag_rec.retrieval.matrices import deviation, n_rows, product, pruned_product


@dataclass(frozen=True, slots=True)
class Smoothed:
    """The sequence matrix ``B`` with the content matrix ``T`` on either side.

    ``T B`` lets an item speak with the voice of its neighbours, ``B T`` carries evidence for an
    item over to its neighbours; rare and new items gain by both. Each product is scaled to unit
    standard deviation.

    Attributes:
        before: Weight of ``T B``.
        after: Weight of ``B T``.
        n_neighbours: Neighbours kept an item in each product.
    """

    name: str = "smoothed"
    before: float = 1.0
    after: float = 0.5
    n_neighbours: int = 300

    def fit(
        self, sequence: sparse.csr_array, content: sparse.csr_array, budget: Budget
    ) -> sparse.csr_array:
        """Matrix ``float32 [n, n]``."""
        n_items = n_rows(sequence)
        n_kept = budget.per_row(n_items, self.n_neighbours)
        multiply = product if budget.compares_all(n_items) else pruned_product
        before = multiply(content, sequence, n_kept)
        after = multiply(sequence, content, n_kept)
        scaled = before * np.float32(self.before / deviation(before))
        return sparse.csr_array(scaled + after * np.float32(self.after / deviation(after)))
