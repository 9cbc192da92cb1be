"""EASE: items that users took together, in whatever order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import Matrices, Source
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.item_item.solve import ridge_inverse, spread
from rag_rec.retrieval.matrices import by_blocks


@dataclass(frozen=True)
class Ease(Source):
    """EASE, an item-item ridge autoencoder in closed form (Steck 2019, arXiv 1905.03375).

    With ``X`` the binary user-item matrix and ``P = (X'X + ridge I)^-1`` the matrix is
    ``-P_ij / P_jj`` with a zero diagonal. Items beyond the memory budget are left out; SLIT
    covers them.

    Attributes:
        ridge: Regularisation.
        n_neighbours: Neighbours kept an item.
    """

    weight: float = 0.3
    ridge: float = 300.0
    n_neighbours: int = 300

    name = "ease"
    sentence = "Often taken together with “{}”."
    features = ("decayed", "all")

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:  # noqa: ARG002
        """Return the matrix over all items, with entries between those that fit the budget."""
        head = data.budget.dense_head(data.log)
        n_kept = data.budget.per_row(data.n_items, self.n_neighbours)
        users = data.log.weights(None)[:, head]
        inverse = ridge_inverse(sparse.csr_array(users.T @ users), self.ridge)
        scale = (-1 / np.diag(inverse)).astype(np.float32)
        # the inverse is symmetric and in column order: its columns are its rows
        matrix = by_blocks(lambda rows: inverse[:, rows].T * scale, len(head), n_kept)
        return spread(matrix, head, data.n_items)
