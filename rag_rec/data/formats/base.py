"""The seam of a format: from the files of a data set to rows of the three tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from rag_rec.data.rejects import BadRow, Rejects
from rag_rec.data.schema import INTERACTIONS, LINE, Column, dtypes, empty
from rag_rec.data.tables import Choices, read_table

TableName = Literal["items", "reviews", "interactions"]


@dataclass(frozen=True, slots=True)
class TableRows:
    """Valid rows of one table, not yet checked against the other tables.

    Attributes:
        frames: Frames with the table's columns and types, and `LINE`; read once, in order.
        path: Their file, for error messages.
    """

    frames: Iterable[pl.DataFrame]
    path: Path

    def table(self, columns: Sequence[Column]) -> pl.DataFrame:
        """Return all rows in one frame, also if there are none."""
        return pl.concat([empty(columns), *self.frames])

    def known(self, frame: pl.DataFrame, catalog: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
        """Return the rows of a frame whose item is in the catalog; the others are bad rows."""
        unknown = frame.join(catalog, on="item_id", how="anti", maintain_order="left")
        self.reject(unknown, "an id of the catalog", rejects)
        return frame.join(catalog, on="item_id", how="semi", maintain_order="left")

    def reject(self, rows: pl.DataFrame, expected: str, rejects: Rejects) -> None:
        """Set rows aside whose item id is at fault."""
        found = rows.select(LINE, "item_id").iter_rows()
        rejects.add(BadRow(self.path, line, "item_id", expected, it) for line, it in found)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a data set; without items, the catalog is the items of the log."""

    items: TableRows | None = None
    reviews: TableRows | None = None
    interactions: TableRows | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of a data set, and their columns' names where those are not recognised.

    Attributes:
        folder: The folder, for formats that take one.
        files: Single files by table.
        columns: For each table, our column name to the file's; an empty name leaves it out.
        forms: For each table, our column name to the name of its values' form.
    """

    folder: Path | None = None
    files: Mapping[TableName, Path] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    forms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def rows(
        self, table: TableName, columns: Sequence[Column], rejects: Rejects
    ) -> TableRows | None:
        """Return the rows of a single file with the given columns; None if there is no file."""
        path = self.files.get(table)
        return None if path is None else self.rows_of(path, table, columns, rejects)

    def rows_of(
        self, path: Path, table: TableName, columns: Sequence[Column], rejects: Rejects
    ) -> TableRows:
        """Return the rows of the given file, which is read as they are taken."""
        choices = Choices(self.columns.get(table, {}), self.forms.get(table, {}))
        frames = read_table(path, columns, table=table, rejects=rejects, choices=choices)
        return TableRows(frames, path)


@dataclass(frozen=True, slots=True)
class Format:
    """A file format, for `register_format`.

    Attributes:
        name: Its name in `Dataset.load`, on the command line and in experiment files.
        read: Function from sources to tables; bad rows go to the rejects, `DataError` is for
            files that cannot be used as a whole.
        takes_folder: True if a folder can be its source.
    """

    name: str
    read: Callable[[Sources, Rejects], Tables]
    takes_folder: bool = False


def as_log(events: pl.DataFrame) -> pl.DataFrame:
    """Return events that have neither time nor rating as rows of the log, with `LINE`."""
    nothing = [pl.lit(None, dtype=pl.Int64).alias("timestamp")]
    nothing.append(pl.lit(None, dtype=pl.Float64).alias("rating"))
    return events.with_columns(nothing).select(*dtypes(INTERACTIONS), LINE)
