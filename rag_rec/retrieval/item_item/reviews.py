"""Reviews: items that people write about in similar words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import FitData
from rag_rec.retrieval.neighbours import clustered_neighbours, cosine_neighbours


@dataclass(frozen=True, slots=True)
class Reviews:
    """Cosine neighbours of the mean review vector of each item.

    Attributes:
        n_neighbours: Neighbours kept an item.
        power: Cosines are raised to this; mean vectors are all rather close to each other.
    """

    name: str = "reviews"
    n_neighbours: int = 50
    power: float = 8.0

    def fit(self, data: FitData) -> sparse.csr_array:
        """Sharpened cosines between mean review vectors; items without reviews have none."""
        kept = np.flatnonzero(data.review_items >= 0)
        if not len(kept):
            return sparse.csr_array((data.n_items, data.n_items), dtype=np.float32)
        member = sparse.csr_array(
            (np.ones(len(kept), np.float32), (data.review_items[kept], kept)),
            shape=(data.n_items, len(data.review_items)),
        )
        means = member @ data.review_vectors
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        unit = (means / np.where(norms > 0, norms, 1)).astype(np.float32)
        n_kept = data.budget.per_row(data.n_items, self.n_neighbours)
        exact = data.budget.compares_all(data.n_items)
        matrix = (cosine_neighbours if exact else clustered_neighbours)(unit, n_kept)
        matrix.data **= self.power
        return matrix
