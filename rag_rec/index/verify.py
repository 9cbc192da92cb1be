"""The check of a whole index: every byte of the version in use."""

from __future__ import annotations

import os
from pathlib import Path

from rag_rec.core import Model
from rag_rec.index.files import find_faults
from rag_rec.index.versions import current_version, hold


class IndexCheck(Model):
    """The findings of a check of an index version.

    Attributes:
        version: Name of the version's folder.
        files: Files that the manifest names.
        bytes: Their bytes.
        faults: One line for every file that is damaged, missing or foreign.
    """

    version: str
    files: int
    bytes: int
    faults: tuple[str, ...]


def verify_index(folder: str | Path) -> IndexCheck:
    """Compare every file of the version in use with its manifest.

    Raises:
        IndexNotFound: If there is no index.
        StaleIndex: If another version of this library wrote it.
        StorageError: If CURRENT or the manifest is damaged.
    """
    version, manifest = current_version(Path(folder))
    held = hold(version)
    try:
        return IndexCheck(
            version=version.name,
            files=len(manifest.files),
            bytes=sum(record.size for record in manifest.files.values()),
            faults=tuple(find_faults(version, manifest.files, manifest.files)),
        )
    finally:
        os.close(held)
