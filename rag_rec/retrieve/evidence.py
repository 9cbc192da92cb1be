"""`Evidence`: the fitted sources side by side, weighted for their sum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieve.matrices import deviation, n_rows


class Evidence:
    """All source matrices as one product: ``weights @ stacked`` holds every source's scores.

    Attributes:
        names: The sources, in the order they are stacked.
        weights: Weight of each source.
        n_items: Number of items ``n``.
        factors: What each source was multiplied by: its weight over its standard deviation.
        stacked: ``float32 [n, sources * n]``; source s has the columns from ``s * n``.
        fused: ``float32 [n, n]``, the sum of the sources.
    """

    def __init__(
        self, matrices: Mapping[str, sparse.csr_array], weights: Mapping[str, float]
    ) -> None:
        self.names = tuple(name for name, matrix in matrices.items() if matrix.nnz)
        self.weights = dict(weights)
        self.n_items: int = n_rows(next(iter(matrices.values())))
        self.factors = {name: weights[name] / deviation(matrices[name]) for name in self.names}
        empty = sparse.csr_array((self.n_items, self.n_items), dtype=np.float32)
        parts = [matrices[name] * np.float32(self.factors[name]) for name in self.names] or [empty]
        self.stacked = sparse.csr_array(sparse.hstack(parts, format="csr"), dtype=np.float32)
        fused = parts[0]
        for part in parts[1:]:
            fused = fused + part
        self.fused = sparse.csr_array(fused, dtype=np.float32)

    def matrix(self, name: str) -> sparse.csr_array:
        """One source's weighted matrix ``float32 [n, n]``."""
        start = self.names.index(name) * self.n_items
        return sparse.csr_array(self.stacked[:, start : start + self.n_items])


def best(
    items: NDArray[np.int32], values: NDArray[np.float32], n: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ``n`` largest positive values, largest first, ties by item; items are distinct."""
    if len(values) > n:
        cut = np.partition(values, len(values) - n)[len(values) - n]
        near = values >= cut
        items, values = items[near], values[near]
    order = np.lexsort((items, -values))[:n]
    order = order[values[order] > 0]
    return items[order], values[order]
