"""The manifest of an index version: its contents, its origin and the files it consists of."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError

from rag_rec.core import Model, StaleIndex
from rag_rec.index.embedders.text import Embedder
from rag_rec.index.files import MANIFEST, FileRecord, reading

SCHEMA_VERSION: Literal[5] = 5


class EmbedderInfo(Model):
    """The model that made the vectors."""

    name: str
    digest: str
    dimension: int

    @classmethod
    def of(cls, embedder: Embedder) -> Self:
        """Return the record of an embedder."""
        return cls(name=embedder.name, digest=embedder.digest, dimension=embedder.dimension)


class Manifest(Model):
    """Contents and origin of one index version.

    Attributes:
        schema_version: Layout of the folder; other versions cannot be read.
        created: Time of building, ISO 8601 in UTC; not part of the digest.
        embedder: The model that made the vectors.
        dataset_digest: SHA-256 of the data set.
        n_items: Items of the catalog; those with a text have a vector.
        n_retired: Items that are no longer in the catalog; those with a text have a vector.
        n_reviews: Reviews; those with a text have a vector.
        n_interactions: Events of the log.
        n_users: Users of the log.
        live_seq: Number of the last live change that is in it; see `rag_rec.index.live`.
        retrieval: How retrieval was fitted; its own record.
        notices: Remarks on the data for a person to read, one line each.
        files: Size and digest of every other file of the version, by its path in it.
    """

    schema_version: Literal[5] = SCHEMA_VERSION
    created: str
    embedder: EmbedderInfo
    dataset_digest: str
    n_items: int
    n_retired: int
    n_reviews: int
    n_interactions: int
    n_users: int
    live_seq: int = 0
    retrieval: dict[str, Any]
    notices: tuple[str, ...] = ()
    files: dict[str, FileRecord]

    def digest(self) -> str:
        """Return the SHA-256 of what the version is, whenever and from whatever it was built."""
        content = self.model_dump_json(exclude={"created", "live_seq", "notices", "files"})
        return hashlib.sha256(content.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the manifest into a version folder."""
        (folder / MANIFEST).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a version folder.

        Raises:
            StaleIndex: If another version of this library wrote it.
            StorageError: If it cannot be read.
        """
        path = folder / MANIFEST
        with reading(path):
            content = path.read_bytes()
        try:
            return cls.model_validate_json(content, strict=True)
        except ValidationError as error:
            raise StaleIndex(
                f"{path} was written by another version, or is damaged; rebuild with rag-rec index",
                expected=f"schema {SCHEMA_VERSION}",
                found=str(error.errors()[0]["loc"]),
            ) from error

    def check_embedder(self, embedder: Embedder) -> None:
        """Raise `StaleIndex` if another model made the vectors."""
        if embedder.digest != self.embedder.digest:
            raise StaleIndex(
                f"the index was built with '{self.embedder.name}' and is opened with "
                f"'{embedder.name}'; open it with the former or rebuild with rag-rec index",
                expected=self.embedder.digest[:12],
                found=embedder.digest[:12],
            )
