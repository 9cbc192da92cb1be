"""A set of ids that does not live in memory."""

from __future__ import annotations

import hashlib
import sqlite3


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
        """Adds an id; False if it was there."""
        cursor = self._db.execute("INSERT OR IGNORE INTO ids VALUES (?)", (_hash(name),))
        return cursor.rowcount == 1

    def __contains__(self, name: str) -> bool:
        query = "SELECT 1 FROM ids WHERE hash = ?"
        return self._db.execute(query, (_hash(name),)).fetchone() is not None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM ids").fetchone()[0])

    def close(self) -> None:
        """Removes the file."""
        self._db.close()


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
