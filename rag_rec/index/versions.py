"""Immutable version folders behind one pointer file.

::

    index/
      CURRENT            name of the version in use and digest of its manifest; replaced atomically
      .lock              held while a version is being written
      versions/000003/   one complete index; never changed once CURRENT names it

A reader opens what CURRENT names and holds it; a writer builds beside it. Versions that a reader
holds and the one before the current are kept; older and unfinished ones are removed by the next
writer.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from rag_rec.core import IndexLocked, IndexNotFound, StorageError
from rag_rec.index.files import MANIFEST, WAY_OUT, digest_of, reading, sync
from rag_rec.index.manifest import Manifest

_POINTER = "CURRENT"
_NAME = re.compile(r"\d{6,}")


def current_version(folder: Path) -> tuple[Path, Manifest]:
    """Return the folder of the version in use, and its manifest.

    Raises:
        IndexNotFound: If ``folder`` is not an index.
        StaleIndex: If another version of this library wrote it.
        StorageError: If CURRENT or the manifest is damaged.
    """
    name, digest = _pointer(folder)
    version = folder / "versions" / name
    if not _NAME.fullmatch(name) or version.is_symlink() or not version.is_dir():
        raise StorageError(
            f"names no version of this index: '{name[:40]}'; {WAY_OUT}", path=folder / _POINTER
        )
    manifest = Manifest.read(version)
    if digest_of((version / MANIFEST).read_bytes()) != digest:
        raise StorageError(
            f"is not the manifest that {_POINTER} names; {WAY_OUT}", path=version / MANIFEST
        )
    return version, manifest


def hold(version: Path) -> int:
    """Keep writers from removing a version until the returned file descriptor is closed.

    The lock is shared, needs no right to write, and ends with the process. A file system without
    locks gives none; there, a reader that outlives two updates is told to open the index again.
    """
    with reading(version / MANIFEST):
        held = os.open(version / MANIFEST, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(held, fcntl.LOCK_SH)
    return held


@contextmanager
def new_version(folder: Path) -> Generator[Path]:
    """Yield a fresh version folder; it becomes the current one if the block ends without error.

    It is on the disk before it becomes the current one.

    Raises:
        IndexLocked: If another process is writing this index.
        StorageError: If the folder cannot be written.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        version = _empty_version(folder)
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
        try:
            yield version
        except BaseException:
            shutil.rmtree(version, ignore_errors=True)
            raise
        _make_current(folder, version)
    finally:
        lock.release()


def copy_version(version: Path, folder: Path) -> None:
    """Make an index at ``folder`` of a copy of one version; another can then take its vectors over.

    Raises:
        StorageError: If the folder cannot be written.
    """
    copied = folder / "versions" / version.name
    with reading(version):
        shutil.copytree(version, copied)
    _make_current(folder, copied)


def _pointer(folder: Path) -> tuple[str, str]:
    """Return what CURRENT says: the name of a version and the digest of its manifest."""
    path = folder / _POINTER
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError) as error:
        if any(_is_complete(version) for version in _versions(folder)):
            raise StorageError(f"is missing; {WAY_OUT}", path=path) from error
        raise IndexNotFound(
            f"no index at {folder}; build one with: rag-rec index --out {folder} ..."
        ) from error
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", path=path) from error
    name, _, digest = text.strip().partition(" ")
    return name, digest


def _empty_version(folder: Path) -> Path:
    """Make the folder of the next version, after those that nobody needs are removed."""
    present = _versions(folder)
    complete = [version for version in present if _is_complete(version)]
    try:
        current = folder / "versions" / _pointer(folder)[0]
    except (IndexNotFound, StorageError):
        current = None
    kept = complete[: complete.index(current) + 1][-2:] if current in complete else complete
    for version in present:
        if version not in kept and not _is_held(version):
            shutil.rmtree(version)
    version = folder / "versions" / f"{int(present[-1].name) + 1 if present else 1:06d}"
    version.mkdir(parents=True)
    return version


def _versions(folder: Path) -> list[Path]:
    """Return the version folders, complete or not, in the order they were made."""
    found = (path for path in (folder / "versions").glob("*") if _NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name))


def _is_complete(version: Path) -> bool:
    return (version / MANIFEST).exists()


def _is_held(version: Path) -> bool:
    if not _is_complete(version):
        return False
    handle = os.open(version / MANIFEST, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks on this file system
        return False
    finally:
        os.close(handle)
    return False


def _make_current(folder: Path, version: Path) -> None:
    """Point CURRENT to a version, once all of it is on the disk."""
    fresh = folder / f"{_POINTER}.new"
    try:
        sync(*version.rglob("*"), version, version.parent)
        digest = digest_of((version / MANIFEST).read_bytes())
        fresh.write_text(f"{version.name} {digest}\n", encoding="utf-8")
        sync(fresh)
        fresh.replace(folder / _POINTER)
        sync(folder)
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=version) from error
