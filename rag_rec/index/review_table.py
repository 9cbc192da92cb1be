"""The reviews of an index version, in a SQLite file that is never changed once it is written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rag_rec.core import plain_text
from rag_rec.data import REVIEWS, dtypes
from rag_rec.index.files import reading

_COLUMNS = ", ".join(dtypes(REVIEWS))
_CREATE = """
CREATE TABLE reviews (row INTEGER PRIMARY KEY, review_id TEXT, item_id TEXT, user_id TEXT,
                      text TEXT, rating REAL, timestamp INTEGER);
CREATE INDEX by_user ON reviews (user_id);
"""
_KEPT = 20_000  # texts asked for lately: the same items are shown to many users
_AT_ONCE = 10_000


class ReviewTable:
    """Reviews by row number, 0 the first.

    Args:
        path: The file.
        create: True to make it; it is opened read-only and as immutable otherwise.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        mode = "rwc" if create else "ro&immutable=1"
        place = f"{path.absolute().as_uri()}?mode={mode}"
        with reading(path):
            self._file = sqlite3.connect(place, uri=True, check_same_thread=False)
        self._path = path
        self._lock = threading.Lock()
        self._kept: dict[int, str] = {}
        self.count = 0
        if create:
            self._file.executescript(_CREATE)

    def add(self, frame: pl.DataFrame) -> None:
        """Append the rows of a frame with the columns of `REVIEWS`."""
        rows = ((row, *values) for row, values in enumerate(frame.rows(), self.count))
        self._file.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._file.commit()
        self.count += frame.height

    def texts(self, rows: Sequence[int]) -> list[str]:
        """Return the texts of some rows as one line each, without markup, in the order given."""
        asked = [int(row) for row in rows]
        found = {row: text for row in asked if (text := self._kept.get(row)) is not None}
        missing = [row for row in asked if row not in found]
        for start in range(0, len(missing), _AT_ONCE):
            wanted = missing[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(wanted))
            query = f"SELECT row, text FROM reviews WHERE row IN ({marks})"  # noqa: S608
            found |= {row: shown_text(text) for row, text in self._select(query, wanted)}
        if len(self._kept) + len(missing) > _KEPT:
            self._kept = {}
        if len(missing) <= _KEPT:
            self._kept.update(found)
        with reading(self._path):
            return [found[row] for row in asked]

    def written_by(self, user_id: str, n: int) -> list[tuple[str, str]]:
        """Return item id and text of the first ``n`` reviews of a user."""
        query = "SELECT item_id, text FROM reviews WHERE user_id = ? ORDER BY row LIMIT ?"
        return [(item_id, shown_text(text)) for item_id, text in self._select(query, (user_id, n))]

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield all rows as they were given, in order, some thousand at a time."""
        query = f"SELECT {_COLUMNS} FROM reviews WHERE row >= ? ORDER BY row LIMIT ?"  # noqa: S608
        start = 0
        while rows := self._select(query, (start, _AT_ONCE)):
            yield pl.DataFrame(rows, schema=dtypes(REVIEWS), orient="row")
            start += len(rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _select(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._lock, reading(self._path):
            return self._file.execute(query, values).fetchall()


def shown_text(text: str) -> str:
    """Return a review as it is embedded and quoted."""
    return plain_text(text) or "-"
