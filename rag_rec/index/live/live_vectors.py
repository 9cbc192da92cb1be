"""Vectors of an index version, and of items that came or changed since."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rag_rec.index.embedders.text import Vectors


class LiveVectors:
    """Looks vectors up by row: those of the version mapped from its file, the others in memory.

    Args:
        built: Unit rows of the version, float32 ``[n_built, dimension]``.
        n_items: Number of rows there may be.
    """

    def __init__(self, built: Vectors, n_items: int) -> None:
        self._built = built
        self._added = np.zeros((n_items - len(built), built.shape[1]), np.float32)
        self._n_added = 0
        self._changed: dict[int, Vectors] = {}

    def __getitem__(self, rows: NDArray[np.integer]) -> Vectors:
        n_built = len(self._built)
        if not self._n_added and not self._changed:
            return self._built[np.minimum(rows, n_built - 1)]
        found = self._built[np.minimum(rows, n_built - 1)]
        added = rows >= n_built
        found[added] = self._added[rows[added] - n_built]
        for row, vector in list(self._changed.items()):
            found[rows == row] = vector
        return found

    def put(self, row: int, vector: Vectors) -> None:
        """Give a row another vector."""
        at = row - len(self._built)
        if at < 0:
            self._changed[row] = vector
        else:
            self._added[at] = vector
            self._n_added = max(self._n_added, at + 1)

    def cosines(self, vector: Vectors) -> Vectors:
        """Return the cosine of every row with a unit vector, 0 where there is no item."""
        n_built = len(self._built)
        found = np.zeros(n_built + len(self._added), np.float32)
        np.matmul(self._built, vector, out=found[:n_built])
        n = self._n_added
        found[n_built : n_built + n] = self._added[:n] @ vector
        for row, changed in list(self._changed.items()):
            found[row] = changed @ vector
        return found
