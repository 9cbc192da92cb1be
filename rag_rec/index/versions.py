"""Immutable version folders behind one pointer file.

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

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rag_rec.core import IndexLocked, IndexNotFound

_POINTER = "CURRENT"


def current_version(folder: Path) -> Path:
    """Folder of the version in use.

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
    """A fresh version folder that becomes the current one when the block ends without error.

    Raises:
        IndexLocked: If another process is writing this index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise IndexLocked(
            f"{folder} is being written by another process; try again later"
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
