"""Content: items whose text means something similar."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import sparse

from rag_rec.retrieve.base import FitData, cosine_neighbours


@dataclass(frozen=True, slots=True)
class Content:
    """Cosine neighbours of the item vectors.

    Attributes:
        n_neighbours: Neighbours kept an item.
        power: Cosines are raised to this, so that close neighbours count for more.
    """

    name: str = "content"
    n_neighbours: int = 50
    power: float = 4.0

    def fit(self, data: FitData) -> sparse.csr_array:
        """Sharpened cosines of the nearest items."""
        matrix = cosine_neighbours(data.item_vectors, self.n_neighbours)
        matrix.data **= self.power
        return matrix
