"""Reviews: items that people write about in similar words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.base import Matrices, Source
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.histories import shares_of
from rag_rec.retrieval.matrices import unit_rows
from rag_rec.retrieval.neighbours import nearest_rows


@dataclass(frozen=True)
class Reviews(Source):
    """Cosine neighbours of the mean review vector of each item.

    Several reviews that one user wrote about an item count as one.

    Attributes:
        n_neighbours: Neighbours kept an item.
        power: Cosines are raised to this; mean vectors are all rather close to each other.
    """

    weight: float = 0.1
    n_neighbours: int = 50
    power: float = 8.0

    name = "reviews"
    sentence = "Its reviews read like those of “{}”."

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:  # noqa: ARG002
        """Return sharpened cosines between mean review vectors; unreviewed items have none."""
        kept = np.flatnonzero(data.review_items >= 0)
        if not len(kept):
            return sparse.csr_array((data.n_items, data.n_items), dtype=np.float32)
        member = sparse.csr_array(
            (_shares(data)[kept], (data.review_items[kept], kept)),
            shape=(data.n_items, len(data.review_items)),
        )
        means = unit_rows(member @ data.review_vectors)
        n_kept = data.budget.per_row(data.n_items, self.n_neighbours)
        exact = data.budget.compares_all(data.n_items)
        matrix = nearest_rows(means, n_kept, every_pair=exact)
        matrix.data **= self.power
        return matrix


def _shares(data: FitData) -> NDArray[np.float32]:
    """Return one over the number of reviews that each review's author wrote about its item."""
    of_nobody = -1 - np.arange(len(data.review_items))
    pairs = data.review_users * np.int64(data.n_items) + data.review_items
    return shares_of(np.where(data.review_users >= 0, pairs, of_nobody))
