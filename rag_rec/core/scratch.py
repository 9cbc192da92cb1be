"""Temporary folders that never outlive a run: those of a killed run are removed by the next."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "rag-rec-"
_TOKEN_BYTES = 8


class ScratchFolder:
    """A new temporary folder, removed when it is closed, forgotten, or the process ends.

    A lock beside the folder is held as long as the folder is in use; the system releases it when
    the process dies. Folders whose lock nobody holds are removed whenever one is made.

    Args:
        name: A word for people who find the folder.

    Attributes:
        path: The folder.
    """

    def __init__(self, name: str) -> None:
        parent = Path(tempfile.gettempdir())
        remove_abandoned(parent)
        while True:
            self.path = parent / f"{_PREFIX}{name}-{secrets.token_hex(_TOKEN_BYTES)}"
            lock = FileLock(f"{self.path}.lock", thread_local=False)
            lock.acquire()
            if Path(lock.lock_file).exists():  # else another run removed it before it was locked
                break
            lock.release()
        self.path.mkdir(mode=0o700)
        self._removed = weakref.finalize(self, _remove, self.path, lock)

    def close(self) -> None:
        """Remove the folder."""
        self._removed()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def remove_abandoned(parent: Path) -> None:
    """Remove the scratch folders that no process holds."""
    token = "[0-9a-f]" * (2 * _TOKEN_BYTES)
    for name in parent.glob(f"{_PREFIX}*-{token}.lock"):
        lock = FileLock(name, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # in use, or another user's
            continue
        _remove(name.with_suffix(""), lock)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
