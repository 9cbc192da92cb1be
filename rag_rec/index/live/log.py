"""`LiveLog`: the changes since a build, in one SQLite file beside an index's versions.

The file is in WAL mode, and a change is on the disk before `LiveLog.append` returns. Changes have
numbers that ascend and are never given twice. A version states the last one that is in it
(`Manifest.live_seq`), so that none counts twice however an update ends. What the version before the
current one held already is removed by an update; the rest stays, for processes that still serve
that version and for senders that repeat an event.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from rag_rec.core import StorageError, first_problem
from rag_rec.index.files import sync
from rag_rec.index.live.changes import CHANGE, Change, EventRecorded, ItemPut

LIVE_FILE: Final = "live.sqlite"
_LAYOUT: Final = 1
_WAIT_SECONDS: Final = 30
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT UNIQUE,
    body TEXT NOT NULL,
    vector BLOB NOT NULL
)"""
_WAY_OUT = "move the file aside to go on without the changes since the last build"


class LiveLog:
    """The log of one index; any number of processes and threads may read and write it.

    Args:
        folder: The index. The file is made by the first change.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LIVE_FILE
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def append(self, changes: Sequence[Change]) -> int:
        """Add changes, all or none, and return when they are on the disk.

        Returns:
            How many were added: events whose key was there already are none.

        Raises:
            StorageError: If the file cannot be written, or is none of this library's.
        """
        rows = [
            (
                change.key if isinstance(change, EventRecorded) else None,
                change.model_dump_json(exclude_defaults=False),
                change.vector if isinstance(change, ItemPut) else b"",
            )
            for change in changes
        ]
        with self._connected(create=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                before = connection.total_changes
                connection.executemany(
                    "INSERT INTO changes (key, body, vector) VALUES (?, ?, ?) "
                    "ON CONFLICT (key) DO NOTHING",
                    rows,
                )
                n_added = connection.total_changes - before
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        return n_added

    def since(self, seq: int) -> list[tuple[int, Change]]:
        """Return the changes after a number, in order, each with its own; none without a file."""
        if self._opened is None and not self.path.exists():
            return []
        with self._connected() as connection:
            rows = connection.execute(
                "SELECT seq, key, body, vector FROM changes WHERE seq > ? ORDER BY seq", (seq,)
            ).fetchall()
        try:
            return [(number, _change(key, body, vector)) for number, key, body, vector in rows]
        except ValidationError as error:
            found = f"holds a change that cannot be read ({first_problem(error)}); {_WAY_OUT}"
            raise StorageError(found, path=self.path) from error

    def count_since(self, seq: int) -> int:
        """Return how many changes there are after a number."""
        if self._opened is None and not self.path.exists():
            return 0
        with self._connected() as connection:
            (n,) = connection.execute(
                "SELECT count(*) FROM changes WHERE seq > ?", (seq,)
            ).fetchone()
        return n

    def last(self) -> int:
        """Return the number of the last change that is kept; 0 if there is none."""
        if self._opened is None and not self.path.exists():
            return 0
        with self._connected() as connection:
            (last,) = connection.execute("SELECT max(seq) FROM changes").fetchone()
        return last or 0

    def forget(self, seq: int) -> None:
        """Remove the changes up to a number; later ones keep theirs."""
        if self.path.exists():
            with self._connected() as connection:
                connection.execute("DELETE FROM changes WHERE seq <= ?", (seq,))

    def close(self) -> None:
        """Close the file; the log can be used again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextmanager
    def _connected(self, *, create: bool = False) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._opened is None:
                    self._opened = self._open(create=create)
                yield self._opened
            except sqlite3.Error as error:
                raise StorageError(
                    f"cannot be used ({error}); {_WAY_OUT}", path=self.path
                ) from error

    def _open(self, *, create: bool) -> sqlite3.Connection:
        is_new = not self.path.exists()
        if is_new and not create:
            raise sqlite3.OperationalError("the file is gone")
        connection = sqlite3.connect(
            self._uri(),
            uri=True,
            timeout=_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        if is_new:
            sync(self.path.parent)
        return connection

    def _uri(self) -> str:
        """Return the file's address; one that nobody can write to is read as it lies."""
        uri = self.path.absolute().as_uri()
        if os.access(self.path.parent, os.W_OK):
            return uri
        waiting = self.path.with_name(f"{LIVE_FILE}-wal")
        if waiting.exists() and waiting.stat().st_size:
            raise sqlite3.OperationalError(
                "its folder cannot be written and changes wait in its -wal file: run rag-rec "
                "index --update where the folder can be written"
            )
        return f"{uri}?immutable=1"


def _prepare(connection: sqlite3.Connection) -> None:
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if layout not in (0, _LAYOUT):
        raise sqlite3.DatabaseError(f"layout {layout}, this version reads {_LAYOUT}")
    if layout == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {_LAYOUT}")
    connection.execute("PRAGMA synchronous = FULL")


def _change(key: str | None, body: str, vector: bytes) -> Change:
    change = CHANGE.validate_json(body, strict=False)
    if isinstance(change, EventRecorded):
        return change.model_copy(update={"key": key})
    return change.model_copy(update={"vector": vector}) if isinstance(change, ItemPut) else change
