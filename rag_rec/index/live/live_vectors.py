"""Vectors of an index version, and of items that came or changed since."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rag_rec.index.embedders.text import Vectors


class LiveVectors:
    """Looks vectors up by row: those of the version mapped from its file, later ones in memory.

    Args:
        built: Unit rows of the version, float32 ``[n_built, dimension]``.
        n_items: Number of rows there may be.
    """

    def __init__(self, built: Vectors, n_items: int) -> None:
        self._built = built
        self._place = np.full(n_items, -1, np.int64)
        self._later = np.zeros((64, built.shape[1]), np.float32)
        self._n_later = 0

    def __getitem__(self, rows: NDArray[np.integer]) -> Vectors:
        found = self._built[np.minimum(rows, len(self._built) - 1)]
        places = self._place[rows]
        found[(places < 0) & (rows >= len(self._built))] = 0
        held = places >= 0
        found[held] = self._later[places[held]]
        return found

    def put(self, row: int, vector: Vectors) -> None:
        """Give a row another vector."""
        if self._n_later == len(self._later):
            self._later = np.concatenate([self._later, np.zeros_like(self._later)])
        self._later[self._n_later] = vector
        self._place[row] = self._n_later
        self._n_later += 1

    def cosines(self, vector: Vectors) -> Vectors:
        """Return the cosine of every row with a unit vector, 0 where there is no item."""
        found = np.zeros(len(self._place), np.float32)
        np.matmul(self._built, vector, out=found[: len(self._built)])
        held = np.flatnonzero(self._place >= 0)
        found[held] = (self._later[: self._n_later] @ vector)[self._place[held]]
        return found
