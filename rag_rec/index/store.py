"""Chroma, embedded: vectors, texts and metadata of items and reviews. Row numbers are the ids.

Telemetry is off, no embedding function is set (vectors are always passed in), the space is cosine.
Its server is never used. Chroma writes into its folder when it only reads, so a version's own is
never opened: `private_copy` makes one that may be changed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ScratchFolder, StorageError
from rag_rec.index.embedders.text import Vectors

if TYPE_CHECKING:
    from chromadb.api.client import Client

ITEMS, REVIEWS = "items", "reviews"
_MAX_ROWS = 5_000
_log = logging.getLogger(__name__)

Metadata = Mapping[str, str | int | float | bool]


class VectorStore:
    """The two collections of one index version.

    Args:
        folder: Chroma's folder.
        create: True to make both collections.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        import chromadb  # takes half a second, and serving never opens it
        from chromadb.config import Settings

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
        rows: Sequence[int],
        vectors: Vectors,
        documents: Sequence[str],
        metadata: Sequence[Metadata],
    ) -> None:
        """Add rows to a collection; rows without a vector are left out of it."""
        for low in range(0, len(documents), _MAX_ROWS):
            part = slice(low, low + _MAX_ROWS)
            self._collections[name].add(
                ids=[str(row) for row in rows[part]],
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
        found = self._collections[name].get(ids=[str(r) for r in rows], include=["documents"])
        by_id = dict(zip(found["ids"], found["documents"] or [], strict=True))
        return [by_id[str(row)] for row in rows]

    def count(self, name: str) -> int:
        """Return the number of rows of a collection."""
        return self._collections[name].count()

    def close(self) -> None:
        """Close the files."""
        self._client.close()


def private_copy(folder: Path) -> ScratchFolder:
    """Copy Chroma's folder to a temporary one, and log its size and place.

    Raises:
        StorageError: If the temporary folder's disk does not hold it.
    """
    scratch = ScratchFolder("chroma")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > shutil.disk_usage(scratch.path).free:
        scratch.close()
        raise StorageError(
            f"no room for a copy of {size / 1e6:,.0f} MB; set TMPDIR to a larger disk", path=folder
        )
    _log.warning("copied %s (%.1f MB) to %s for this run", folder, size / 1e6, scratch.path)
    shutil.copytree(folder, scratch.path, dirs_exist_ok=True)
    return scratch
