"""The files of an index version: their sizes and digests, and whether they still are as written.

Digests find accidents: a torn copy, a full disk, a flipped bit, files of two indexes mixed. Who can
write into an index can also write its digests, so they are fast (XXH3, 128 bits) rather than
cryptographic.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tokenize
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import xxhash
from polars.exceptions import PanicException, PolarsError

from rag_rec.core import Model, StorageError, one_line

MANIFEST: Final = "manifest.json"
CHROMA: Final = "chroma"
ITEMS_FILE: Final = "items.parquet"
LOG_FILE: Final = "interactions.parquet"
REVIEWS_FILE: Final = "reviews.sqlite"
WAY_OUT = (
    "put back a copy of the index, or rebuild it with rag-rec index; "
    "rag-rec show --verify lists every fault"
)
_READ_AT_OPENING = 2**30
_CHUNK = 2**20
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    BadZipFile,
    PolarsError,
    PanicException,  # of polars, where a page holds other rows than its head says
    sqlite3.Error,
    tokenize.TokenError,  # numpy, of a damaged header
)


class FileRecord(Model):
    """One file as it was written.

    Attributes:
        size: Bytes.
        xxh3: XXH3 digest of 128 bits, hexadecimal.
    """

    size: int
    xxh3: str


def file_records(folder: Path) -> dict[str, FileRecord]:
    """Return the record of every file but the manifest, by its path inside a version folder."""
    return {
        name: FileRecord(size=(folder / name).stat().st_size, xxh3=_digest(folder / name))
        for name in _names(folder)
    }


def own_files(records: Mapping[str, FileRecord]) -> list[str]:
    """Return all files but those in Chroma's folder, the smallest first."""
    return sorted(set(records) - set(chroma_files(records)), key=lambda name: records[name].size)


def chroma_files(records: Mapping[str, FileRecord]) -> list[str]:
    """Return the files in Chroma's folder, which serving does not read."""
    return [name for name in records if name.startswith(f"{CHROMA}/")]


def files_read_at_opening(records: Mapping[str, FileRecord]) -> list[str]:
    """Return the files whose content is compared whenever an index is opened.

    They are the smallest of `own_files`, one GiB together. That much takes a tenth of a second
    from memory, and as long as the disk takes where it has to be read first.
    """
    names = own_files(records)
    read = accumulate(records[name].size for name in names)
    return [name for name, total in zip(names, read, strict=True) if total <= _READ_AT_OPENING]


def find_faults(
    folder: Path, records: Mapping[str, FileRecord], compared: Collection[str]
) -> Iterator[str]:
    """Yield a line for every file that is damaged, missing or foreign.

    Files whose names begin with a point belong to the system and are left out.

    Args:
        folder: A version folder.
        records: The files that were written.
        compared: Those of them whose content is read; of the others the size is compared.
    """
    wanted = frozenset(compared)
    for name, record in sorted(records.items()):
        if fault := _fault(folder / name, record, is_read=name in wanted):
            yield f"{name} {fault}"
    for name in sorted(set(_names(folder)) - set(records)):
        yield f"{one_line(name)} is foreign: it was not written with this version"


def check_files(folder: Path, records: Mapping[str, FileRecord], compared: Collection[str]) -> None:
    """Check the files of a version folder; see `find_faults`.

    Raises:
        StorageError: If one is damaged, missing or foreign.
    """
    faults = list(find_faults(folder, records, compared))
    if faults:
        more = f", and {len(faults) - 1:,} more faults" if faults[1:] else ""
        raise StorageError(f"{faults[0]}{more}; {WAY_OUT}", path=folder)


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Say in one line why a file of an index cannot be read.

    Raises:
        StorageError: If the block fails at reading it.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except _UNREADABLE as error:
        line = str(error).partition("\n")[0] or type(error).__name__
        what = f"cannot be read ({line}); {WAY_OUT}"
        if not path.exists():
            what = f"is gone; if the index was updated meanwhile open it again, else {WAY_OUT}"
        raise StorageError(what, path=path) from error


def digest_of(content: bytes) -> str:
    """Return the digest of some bytes, as `FileRecord` keeps it."""
    return xxhash.xxh3_128_hexdigest(content)


def sync(*paths: Path) -> None:
    """Return when files and folders are on the disk; a folder's own entries, not what is inside."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _fault(path: Path, record: FileRecord, *, is_read: bool) -> str | None:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return "is damaged: it is not a file"
        if found.st_size != record.size:
            return f"is damaged: {found.st_size:,} bytes for {record.size:,}"
        if is_read and _digest(path) != record.xxh3:
            return "is damaged: its bytes are not those that were written"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if not hidden and not path.is_dir() and name.as_posix() != MANIFEST:
            yield name.as_posix()


def _digest(path: Path) -> str:
    found = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while n := file.readinto(buffer):
            found.update(buffer[:n])
    return found.hexdigest()
