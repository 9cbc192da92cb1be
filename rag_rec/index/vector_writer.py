"""Vectors of one table of a new version: embedded, or taken over where the text is the same.

A row without text has no vector: zeros in the file, and nothing in Chroma.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import OnStep
from rag_rec.index.embedders.known import FRESH, KnownVectors, places, text_hashes
from rag_rec.index.embedders.text import Embedder, Vectors
from rag_rec.index.store import VectorStore


@dataclass(frozen=True, slots=True)
class WriterTools:
    """The version that is written, and the things that both of its tables need.

    Attributes:
        version: The new version's folder.
        embedder: Makes the vectors.
        store: Chroma.
        previous: A version whose vectors may be taken over.
        on_step: Receives progress.
        doing: Begins the names of steps.
    """

    version: Path
    embedder: Embedder
    store: VectorStore
    previous: Path | None
    on_step: OnStep | None
    doing: str = "embedding"


class VectorWriter:
    """Embeds and stores the rows of one table; one slice is stored while the next is embedded.

    Args:
        name: `ITEMS` or `REVIEWS`.
        n: Rows the table will have.
        tools: The version and the rest.
    """

    def __init__(self, name: str, n: int, tools: WriterTools) -> None:
        self.n_embedded = 0
        self._name, self._n, self._tools = name, n, tools
        self._known = KnownVectors(tools.previous, name) if tools.previous else None
        self._done = self._reported = 0
        self._hashes = np.empty(n, np.uint64)
        self._path = tools.version / f"{name}_vectors.npy"
        shape = (n, tools.embedder.dimension)
        if n:
            np.lib.format.open_memmap(self._path, "w+", np.float32, shape)
        else:
            np.save(self._path, np.empty(shape, np.float32))
        self._pool = ThreadPoolExecutor(1)
        self._stored: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self._wait()
            np.save(self._tools.version / f"{self._name}_hashes.npy", self._hashes)

    def add(self, texts: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> None:
        """Embed and store the next rows, one slice; empty texts and metadata are left out."""
        hashes = text_hashes(texts)
        vectors = self._vectors(texts, hashes)
        start, self._done = self._done, self._done + len(texts)
        # mapped anew each time: pages of a mapping that stays open stay in memory
        mapped = np.lib.format.open_memmap(self._path, "r+")
        mapped[start : self._done] = vectors
        del mapped
        self._hashes[start : self._done] = hashes
        self._wait()
        told = [at for at, text in enumerate(texts) if text]
        self._stored = self._pool.submit(
            self._tools.store.add,
            self._name,
            [start + at for at in told],
            vectors[told],
            [texts[at] for at in told],
            [_filled(metadata[at]) for at in told],
        )

    def _vectors(self, texts: Sequence[str], hashes: NDArray[np.uint64]) -> Vectors:
        """Return the vectors of texts, from the earlier version where the text is the same."""
        embedder = self._tools.embedder
        result = np.zeros((len(texts), embedder.dimension), np.float32)
        rows = places(texts, hashes, self._known)
        old = np.flatnonzero(rows >= 0)
        if self._known:
            result[old] = self._known.vectors[rows[old]]
        fresh = np.flatnonzero(rows == FRESH)
        if len(fresh):
            result[fresh] = embedder.embed([texts[at] for at in fresh.tolist()], self._report)
        self.n_embedded += len(fresh)
        self._report(len(texts) - len(fresh))
        return result

    def _wait(self) -> None:
        """Return when the rows handed over are stored; raise the error of storing them."""
        if self._stored is not None:
            self._stored.result()
            self._stored = None

    def _report(self, n: int) -> None:
        self._reported += n
        if self._tools.on_step:
            self._tools.on_step(f"{self._tools.doing} {self._name}", self._reported, self._n)


def _filled(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if value is not None and value != ""}
