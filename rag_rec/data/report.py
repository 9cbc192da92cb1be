"""The report on a file: the use and form of each column, and the values that were lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class ColumnReport:
    """One column of a file.

    Attributes:
        source: Its name in the file.
        name: The column of the table it is read as; empty if it is not read.
        form: Its form, such as ``comma`` for decimal commas; empty where there is but one.
        said: Remarks on the form.
        filled: Values that are not empty.
        gaps: Of those, words that stand for a missing value.
        unread: Of those, values that cannot be read and were left empty.
        gap, unread_example, sample: An example of each, and of a readable value; as in the file.
        expected: Description of a readable value.
    """

    source: str
    name: str = ""
    form: str = ""
    said: str = ""
    filled: int = 0
    gaps: int = 0
    unread: int = 0
    gap: str = ""
    unread_example: str = ""
    sample: str = ""
    expected: str = ""


@dataclass(slots=True)
class TableReport:
    """A file as it was read.

    Attributes:
        path: The file.
        table: Its table: items, reviews or interactions.
        rows: Number of rows.
        columns: Its columns, in the file's order.
        separator: The sign between its fields, if it is delimited text.
    """

    path: Path
    table: str
    rows: int = 0
    columns: list[ColumnReport] = field(default_factory=list)
    separator: str = ""

    def notices(self) -> Iterator[str]:
        """Yield remarks for a person, one line each."""
        ignored = [column.source for column in self.columns if not column.name]
        if ignored:
            yield f"{self.path.name}: not read: {', '.join(ignored)}"
        for column in self.columns:
            where = f"{self.path.name}: {column.name}"
            if column.said:
                option = f"--read {self.table}.{column.name}="
                yield f"{where}: {column.said} (another form: {option}FORM)"
            if column.gaps:
                yield f"{where}: {column.gaps} × '{column.gap}' or the like for a missing value"
            if column.unread:
                yield (
                    f"{where}: {column.unread} of {column.filled} values cannot be read and are "
                    f"left empty, such as '{column.unread_example}'; expected {column.expected}"
                )
