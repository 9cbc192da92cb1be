"""Popular: what everybody takes, as one more voice in the sum."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import Matrices, Source
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.item_item.popularity import Popularity


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
    sentence = "Popular with everyone, not only after “{}”."

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:  # noqa: ARG002
        """Return a matrix of equal rows."""
        scores = np.log1p(self.popularity.fit(data))
        n_kept = data.budget.per_row(data.n_items, self.n_items)
        listed = np.argsort(-scores, kind="stable")[:n_kept]
        listed = np.sort(listed[scores[listed] > 0])
        n, width = data.n_items, len(listed)
        items, pointers = np.tile(listed, n), np.arange(n + 1) * width
        values = np.where(items == np.repeat(np.arange(n), width), 0, np.tile(scores[listed], n))
        every = sparse.csr_array((values, items.astype(np.int32), pointers), shape=(n, n))
        every.eliminate_zeros()
        return every
