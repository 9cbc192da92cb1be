"""Bad rows: stop at the first, or write each to a side file with its reason and carry on."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from rag_rec.core import DataError, open_private, safe_cell
from rag_rec.data.report import TableReport

_WHOLE_ROWS = {"(row)", "(line)"}
"""Fields of rows that could not be split into fields."""

MAX_REJECTED = 0.5
"""Share of a file's rows that may be set aside unless another one is asked for."""

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
        found = f"expected {self.expected}, found {_short(self.found)!r}"
        hint = "(--on-error=skip sets such rows aside)"
        return DataError(f"{found} {hint}", path=self.path, row=self.row, field=self.field)


class Reason(NamedTuple):
    """A reason for which rows of a file are set aside."""

    path: Path
    field: str
    expected: str


@dataclass(slots=True)
class Rejects:
    """The policy for bad rows, those set aside, and what there is to say about the files.

    Attributes:
        on_error: ``stop`` raises at the first bad row; ``skip`` writes it to `side_file`.
        side_file: CSV of rejected rows: file, row, field, expected, found; None for no file.
        reports: Reports on the files read so far.
        lost: Rows set aside by file and reason.
        notices: Other remarks for a person, one line each.
        separator: The sign between the fields of the delimited file that was read last.
    """

    on_error: OnError = "stop"
    side_file: Path | None = Path("rejected.csv")
    reports: list[TableReport] = field(default_factory=list)
    lost: Counter[Reason] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)
    separator: str = ""
    _found: dict[Reason, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of rows set aside."""
        return self.lost.total()

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
        for bad in batch:
            reason = Reason(bad.path, bad.field, bad.expected)
            self.lost[reason] += 1
            self._found.setdefault(reason, bad.found)

    def _write(self, side_file: Path, batch: list[BadRow]) -> None:
        fresh = self.count == 0
        side_file.parent.mkdir(parents=True, exist_ok=True)
        with open_private(side_file, "w" if fresh else "a", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            if fresh:
                writer.writerow(("file", "row", "field", "expected", "found"))
            for bad in batch:
                found = bad.found.encode("utf-8", "backslashreplace").decode("utf-8")
                cells = (bad.path, bad.row, bad.field, bad.expected, found)
                writer.writerow([safe_cell(str(cell)) for cell in cells])

    def check(self, most: float) -> None:
        """Note the rows lost for each reason, and refuse to go on without too many.

        Args:
            most: Largest share of the rows of a file that may be set aside.

        Raises:
            DataError: If all rows of a file were set aside, or a larger share.
        """
        for report in self.reports:
            path = report.path  # of a file, or of a folder with parts
            reasons = [it for it in self.lost if path in {it.path, it.path.parent}]
            n_lost = sum(self.lost[reason] for reason in reasons)
            n_rows = report.rows + sum(self.lost[r] for r in reasons if r.field in _WHOLE_ROWS)
            lines = [self._counted(reason) for reason in reasons]
            if n_lost and (n_lost >= n_rows or n_lost > most * n_rows):
                raise DataError(
                    f"{n_lost} of {n_rows} rows would be set aside, more than --max-rejected "
                    f"{most:g} allows: {'; '.join(lines)} (they are in {self.side_file})",
                    path=report.path,
                )
            for line in lines:
                self.notice(f"{report.path.name}: {line}")

    def _counted(self, reason: Reason) -> str:
        where = "" if reason.field in _WHOLE_ROWS else f"{reason.field}: "
        return (
            f"{self.lost[reason]} rows set aside, {where}expected {reason.expected}, "
            f"found {_short(self._found[reason])!r}"
        )

    def notice(self, line: str) -> None:
        """Keep a remark that costs no row."""
        self.notices.append(line)


def _short(found: str) -> str:
    return found if len(found) <= 60 else found[:57] + "..."
