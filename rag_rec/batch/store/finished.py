"""Rows of a user file that a job has finished, and those it has not."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from rag_rec.batch.store.journal import read_journal
from rag_rec.batch.store.record import key_of
from rag_rec.batch.users import BadUser, BatchUser, UserRow


class IdSet:
    """Ids seen so far, as 128-bit hashes in a temporary file of SQLite's.

    About 35 bytes of disk an id, and 2 MiB of memory however many there are; the file is removed
    with the set, or with the process. Two ids among a billion share a hash with a probability of
    about 1e-21.
    """

    def __init__(self) -> None:
        # "" is a file without a name, unlike ":memory:"
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("CREATE TABLE ids (hash BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")  # one transaction for all: nobody else reads it

    def add(self, name: str) -> bool:
        """Add an id; return False if it was there."""
        cursor = self._db.execute("INSERT OR IGNORE INTO ids VALUES (?)", (_hash(name),))
        return cursor.rowcount == 1

    def __contains__(self, name: str) -> bool:
        query = "SELECT 1 FROM ids WHERE hash = ?"
        return self._db.execute(query, (_hash(name),)).fetchone() is not None

    def close(self) -> None:
        """Remove the file."""
        self._db.close()


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def failures_beside(output: Path) -> Path:
    """Return the path of the failures file of an output."""
    return output.with_name(f"{output.stem}.failures.jsonl")


def finished_in(output: Path | None) -> IdSet:
    """Return the keys of the rows that an output and its failures hold; change neither."""
    found = IdSet()
    for path in (output, failures_beside(output)) if output else ():
        if path.exists():
            for record in read_journal(path):
                found.add(record.key)
    return found


def pending_rows(users: Iterable[UserRow], finished: IdSet) -> Iterator[UserRow]:
    """Yield the rows that are not finished; one that repeats an id becomes a bad row."""
    seen = IdSet()
    for user in users:
        row = user
        if isinstance(row, BatchUser) and not seen.add(row.custom_id):
            why = f"a row before it has the same id {row.custom_id!r}"
            row = BadUser(row.row, "duplicate_id", why)
        name = row.custom_id if isinstance(row, BatchUser) else None
        if key_of(name, row.row) not in finished:
            yield row
    seen.close()
