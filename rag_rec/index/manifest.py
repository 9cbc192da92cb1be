"""The manifest: what an index version holds and what it was made from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rag_rec.core import IndexNotFound, StaleIndex

SCHEMA_VERSION: Literal[2] = 2
_FILE = "manifest.json"


class EmbedderInfo(BaseModel):
    """Which model made the vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    dimension: int


class Manifest(BaseModel):
    """Contents and origin of one immutable index version.

    Attributes:
        schema_version: Layout of the folder; other versions cannot be read.
        created: When it was built, ISO 8601 in UTC; not part of the identity.
        embedder: Which model made the vectors.
        dataset_digest: SHA-256 of the data set.
        n_items: Items, each with a vector.
        n_reviews: Reviews, each with a vector.
        n_interactions: Events of the log.
        n_users: Users of the log.
        retrieval: What the retrieval sources were fitted with and how they are fused.
        notices: What a person should know about the data, one line each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = SCHEMA_VERSION
    created: str
    embedder: EmbedderInfo
    dataset_digest: str
    n_items: int
    n_reviews: int
    n_interactions: int
    n_users: int
    retrieval: dict[str, Any] = {}
    notices: tuple[str, ...] = ()

    def digest(self) -> str:
        """SHA-256 of everything but the time of building."""
        content = self.model_dump_json(exclude={"created", "notices"})
        return hashlib.sha256(content.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Writes the manifest into a version folder."""
        (folder / _FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads the manifest of a version folder.

        Raises:
            IndexNotFound: If there is none.
            StaleIndex: If another version of this library wrote it.
        """
        path = folder / _FILE
        try:
            text = path.read_text(encoding="utf-8")
            return cls.model_validate_json(text, strict=True)
        except FileNotFoundError as error:
            raise IndexNotFound(
                f"{folder} holds no manifest; rebuild with rag-rec index"
            ) from error
        except ValidationError as error:
            raise StaleIndex(
                f"{path} was written by another version; rebuild with rag-rec index",
                expected=f"schema {SCHEMA_VERSION}",
                found=str(error.errors()[0]["loc"]),
            ) from error

    def check_embedder(self, embedder: EmbedderInfo) -> None:
        """Raises `StaleIndex` if the vectors were made by another model."""
        if embedder.digest != self.embedder.digest:
            raise StaleIndex(
                f"the index was built with '{self.embedder.name}' and is opened with "
                f"'{embedder.name}'; open it with the former or rebuild with rag-rec index",
                expected=self.embedder.digest[:12],
                found=embedder.digest[:12],
            )
