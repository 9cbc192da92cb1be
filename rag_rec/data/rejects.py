"""Bad rows: stop at the first, or write each to a side file with its reason and carry on."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rag_rec.core import DataError

OnError = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: its place, the value found there, and the one expected."""

    path: Path
    row: int
    field: str
    expected: str
    found: str

    def error(self) -> DataError:
        """Return the same as an exception, with the way out."""
        found = self.found if len(self.found) <= 60 else self.found[:57] + "..."
        message = (
            f"expected {self.expected}, found {found!r} (--on-error=skip sets such rows aside)"
        )
        return DataError(message, path=self.path, row=self.row, field=self.field)


@dataclass(slots=True)
class Rejects:
    """The policy for bad rows, and a count of those set aside.

    Attributes:
        on_error: ``stop`` raises at the first bad row; ``skip`` writes it to `side_file`.
        side_file: CSV of rejected rows: file, row, field, expected, found; None for no file.
        count: Rows rejected so far.
        notices: Other remarks for a person, one line each.
    """

    on_error: OnError = "stop"
    side_file: Path | None = Path("rejected.csv")
    count: int = 0
    notices: list[str] = field(default_factory=list)

    def add(self, rows: Iterable[BadRow]) -> None:
        """Set bad rows aside.

        Raises:
            DataError: On the first one, when the policy is ``stop``.
        """
        batch = list(rows)
        if not batch:
            return
        if self.on_error == "stop":
            raise batch[0].error()
        if self.side_file is not None:
            self._write(self.side_file, batch)
        self.count += len(batch)

    def _write(self, side_file: Path, batch: list[BadRow]) -> None:
        fresh = self.count == 0
        side_file.parent.mkdir(parents=True, exist_ok=True)
        with side_file.open("w" if fresh else "a", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            if fresh:
                writer.writerow(("file", "row", "field", "expected", "found"))
            for bad in batch:
                found = bad.found.encode("utf-8", "backslashreplace").decode("utf-8")
                writer.writerow((bad.path, bad.row, bad.field, bad.expected, found))

    def notice(self, line: str) -> None:
        """Keep a remark that costs no row."""
        self.notices.append(line)
