"""Immutable version folders behind one pointer file, and the manifest that each of them holds.

::

    index/
      CURRENT            name of the version in use; replaced atomically
      .lock              held while a version is being written
      versions/000003/   one complete index; never changed once CURRENT names it

A reader opens what CURRENT names and keeps it; a writer builds beside it. The version before the
current one is kept for readers that opened it; older and unfinished ones are removed by the next
writer.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import ValidationError

from rag_rec.core import IndexLocked, IndexNotFound, Model, StaleIndex, StorageError
from rag_rec.index.embedders.text import Embedder

SCHEMA_VERSION: Literal[4] = 4
_POINTER, _MANIFEST = "CURRENT", "manifest.json"


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
        n_items: Items of the catalog, each with a vector.
        n_retired: Items that are no longer in the catalog, each with a vector.
        n_reviews: Reviews, each with a vector.
        n_interactions: Events of the log.
        n_users: Users of the log.
        retrieval: How retrieval was fitted; its own record.
        notices: Remarks on the data for a person to read, one line each.
    """

    schema_version: Literal[4] = SCHEMA_VERSION
    created: str
    embedder: EmbedderInfo
    dataset_digest: str
    n_items: int
    n_retired: int
    n_reviews: int
    n_interactions: int
    n_users: int
    retrieval: dict[str, Any]
    notices: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return the SHA-256 of everything but the time of building and the notices."""
        content = self.model_dump_json(exclude={"created", "notices"})
        return hashlib.sha256(content.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the manifest into a version folder."""
        (folder / _MANIFEST).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a version folder.

        Raises:
            IndexNotFound: If there is none.
            StaleIndex: If another version of this library wrote it.
        """
        path = folder / _MANIFEST
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

    def check_embedder(self, embedder: Embedder) -> None:
        """Raise `StaleIndex` if another model made the vectors."""
        if embedder.digest != self.embedder.digest:
            raise StaleIndex(
                f"the index was built with '{self.embedder.name}' and is opened with "
                f"'{embedder.name}'; open it with the former or rebuild with rag-rec index",
                expected=self.embedder.digest[:12],
                found=embedder.digest[:12],
            )


def current_version(folder: Path) -> Path:
    """Return the folder of the version in use.

    Raises:
        IndexNotFound: If ``folder`` is not an index.
    """
    try:
        name = (folder / _POINTER).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexNotFound(
            f"no index at {folder}; build one with: rag-rec index --out {folder} ..."
        ) from error
    return folder / "versions" / name


@contextmanager
def new_version(folder: Path) -> Generator[Path]:
    """Yield a fresh version folder; it becomes the current one if the block ends without error.

    Raises:
        IndexLocked: If another process is writing this index.
        StorageError: If the folder cannot be written.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        (folder / "versions").mkdir(exist_ok=True)
    except Timeout as error:
        raise IndexLocked(
            f"{folder} is being written by another process; try again later"
        ) from error
    except OSError as error:
        lock.release()
        raise StorageError(
            f"cannot be written ({error.strerror}); give another folder with --out", path=folder
        ) from error
    try:
        version = folder / "versions" / f"{_last_number(folder) + 1:06d}"
        _remove_unused(folder)
        version.mkdir(parents=True)
        try:
            yield version
        except BaseException:
            shutil.rmtree(version, ignore_errors=True)
            raise
        _point_to(folder, version.name)
    finally:
        lock.release()


def _point_to(folder: Path, name: str) -> None:
    fresh = folder / f"{_POINTER}.new"
    with fresh.open("w", encoding="utf-8") as handle:
        handle.write(name + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    fresh.replace(folder / _POINTER)


def _last_number(folder: Path) -> int:
    names = [path.name for path in (folder / "versions").glob("[0-9]*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def _remove_unused(folder: Path) -> None:
    try:
        current = current_version(folder).name
    except IndexNotFound:
        current = ""
    finished = sorted(p.name for p in (folder / "versions").glob("[0-9]*") if p.name <= current)
    for path in (folder / "versions").glob("[0-9]*"):
        if path.name not in finished[-2:]:
            shutil.rmtree(path)
