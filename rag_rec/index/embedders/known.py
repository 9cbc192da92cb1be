"""Vectors of an earlier version, which are taken over where the text is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag_rec.index.embedders.text import Vectors

FRESH, SILENT = -1, -2


class KnownVectors:
    """Vectors of an earlier version by the hash of their text."""

    def __init__(self, version: Path, name: str) -> None:
        hashes = np.load(version / f"{name}_hashes.npy", allow_pickle=False)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        path = version / f"{name}_vectors.npy"
        self.vectors: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the row of each hash, `FRESH` where there is none."""
        if not len(self._hashes):
            return np.full(len(hashes), FRESH, np.int64)
        place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return np.where(self._hashes[place] == hashes, self._order[place], FRESH)


def places(
    texts: Sequence[str], hashes: NDArray[np.uint64], known: KnownVectors | None
) -> NDArray[np.int64]:
    """Return the earlier row of each text, `FRESH` where there is none, `SILENT` without text."""
    rows = known.find(hashes) if known else np.full(len(texts), FRESH, np.int64)
    return np.where([bool(text) for text in texts], rows, SILENT)


def text_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hash by which the vector of each text is found again, uint64 ``[n]``."""
    found = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.array([int.from_bytes(digest, "little") for digest in found], np.uint64)
