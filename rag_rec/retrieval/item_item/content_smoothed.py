"""Smoothed by content: evidence of what comes next, lent to items that are described alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import Matrices, Source
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.matrices import deviation, product, pruned_product


@dataclass(frozen=True)
class ContentSmoothed(Source):
    """The SLIT matrix ``B`` with the content matrix ``T`` on either side.

    ``T B`` lends an item the evidence of its neighbours, ``B T`` carries evidence for an item
    over to its neighbours; rare and new items gain by both. Each product is scaled to unit
    standard deviation.

    Attributes:
        before: Weight of ``T B``.
        after: Weight of ``B T``.
        n_neighbours: Neighbours kept an item in each product.
    """

    weight: float = 0.5
    before: float = 1.0
    after: float = 0.5
    n_neighbours: int = 300

    name = "content_smoothed"
    sentence = "Like what is taken after “{}”."
    features = ("decayed", "last")
    needs = ("slit", "content")

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:
        """Return the weighted sum of the two products."""
        slit, content = fitted["slit"], fitted["content"]
        n_kept = data.budget.per_row(data.n_items, self.n_neighbours)
        multiply = product if data.budget.compares_all(data.n_items) else pruned_product
        before = multiply(content, slit, n_kept)
        after = multiply(slit, content, n_kept)
        scaled = before * np.float32(self.before / deviation(before))
        return sparse.csr_array(scaled + after * np.float32(self.after / deviation(after)))
