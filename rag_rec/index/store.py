"""Chroma, embedded: vectors in, neighbours out. Row numbers are the ids.

Telemetry is off, no embedding function is set (vectors are always passed in), the space is
cosine. Its server is never used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import chromadb
import numpy as np
from chromadb.api.client import Client
from chromadb.config import Settings
from numpy.typing import NDArray

from rag_rec.index.embedders.text import Vectors

ITEMS, REVIEWS = "items", "reviews"
_MAX_ROWS = 5_000

Metadata = Mapping[str, str | int | float | bool]


class VectorStore:
    """The two collections of one index version."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Open the store in ``folder``; ``create`` makes both collections."""
        opened = chromadb.PersistentClient(
            str(folder), settings=Settings(anonymized_telemetry=False)
        )
        self._client = cast("Client", opened)  # declared as ClientAPI, which has no close()
        if create:
            for name in (ITEMS, REVIEWS):
                self._client.create_collection(
                    name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
                )
        self._collections = {
            name: self._client.get_collection(name, embedding_function=None)
            for name in (ITEMS, REVIEWS)
        }

    def add(
        self,
        name: str,
        start: int,
        vectors: Vectors,
        documents: Sequence[str],
        metadata: Sequence[Metadata],
    ) -> None:
        """Add rows ``start, start + 1, ...`` to a collection."""
        for low in range(0, len(documents), _MAX_ROWS):
            part = slice(low, min(low + _MAX_ROWS, len(documents)))
            self._collections[name].add(
                ids=[str(start + row) for row in range(part.start, part.stop)],
                embeddings=vectors[part],
                documents=list(documents[part]),
                metadatas=[dict(row) for row in metadata[part]],
            )

    def query(
        self, name: str, vectors: Vectors, n: int
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return numbers and cosines of the ``n`` nearest rows of each vector, nearest first."""
        n = min(n, self.count(name))
        if n == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in vectors]
        found = self._collections[name].query(
            query_embeddings=vectors, n_results=n, include=["distances"]
        )
        distances = cast("list[list[float]]", found["distances"])
        return [
            (np.array(ids, np.int64), 1 - np.array(row, np.float32))
            for ids, row in zip(found["ids"], distances, strict=True)
        ]

    def documents(self, name: str, rows: Sequence[int]) -> list[str]:
        """Return the texts of some rows, in the order given."""
        if not rows:
            return []
        found = self._collections[name].get(ids=[str(r) for r in rows], include=["documents"])
        by_id = dict(zip(found["ids"], found["documents"] or [], strict=True))
        return [by_id[str(row)] for row in rows]

    def written_by(self, user_id: str, n: int) -> list[tuple[str, str]]:
        """Return item id and text of up to ``n`` reviews of one user."""
        found = self._collections[REVIEWS].get(
            where={"user_id": user_id}, limit=n, include=["documents", "metadatas"]
        )
        rows = zip(found["metadatas"] or [], found["documents"] or [], strict=True)
        return [(str(metadata["item_id"]), text) for metadata, text in rows]

    def count(self, name: str) -> int:
        """Return the number of rows of a collection."""
        return self._collections[name].count()

    def close(self) -> None:
        """Close the files."""
        self._client.close()
