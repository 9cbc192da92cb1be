"""Popular: what everybody takes, as one more voice in the sum."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import Matrices, Source
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.item_item.popularity import Popularity
from rag_rec.retrieval.matrices import keep_strongest


@dataclass(frozen=True)
class Popular(Source):
    """The most popular items, whatever the history.

    Its weight is 0 unless the search finds a better one: logs that are too small to say who takes
    what with what still say what is popular.

    Attributes:
        n_items: Items that have a score.
        popularity: Counts the events; scores are ``ln(1 + count)``.
    """

    weight: float = 0.0
    n_items: int = 200
    popularity: Popularity = field(default_factory=Popularity)

    name = "popular"
    sentence = "Popular with other users."

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:  # noqa: ARG002
        """Return a matrix of equal rows."""
        counts = np.log1p(self.popularity.fit(data))
        n_kept = data.budget.per_row(data.n_items, self.n_items)
        row = keep_strongest(sparse.csr_array(counts[None, :]), n_kept, first=-1)
        entries, rows = row.nnz, data.n_items
        every = sparse.csr_array(
            (np.tile(row.data, rows), np.tile(row.indices, rows), np.arange(rows + 1) * entries),
            shape=(rows, rows),
        )
        return keep_strongest(every, n_kept)
