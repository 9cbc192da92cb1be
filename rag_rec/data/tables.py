"""One table from its file: match columns, find their forms, read values, set bad rows aside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from rag_rec.core import ScratchFolder
from rag_rec.data.column_reader import ColumnReader, unread_column
from rag_rec.data.matching import checked_columns, normalise
from rag_rec.data.parts import FileParts
from rag_rec.data.readers.files import LINE
from rag_rec.data.readers.rows import read_chunks
from rag_rec.data.rejects import BadRow, Rejects
from rag_rec.data.report import ColumnReport, TableReport
from rag_rec.data.schema import Column, dtypes
from rag_rec.data.values.kinds import KINDS


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices of a user for the columns of one table.

    Attributes:
        columns: Table column to file column, where that is not recognised; see `match_columns`.
        forms: Table column to the name of its form, where that is not inferred as wanted.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, str] = field(default_factory=dict)


NO_CHOICES = Choices()


def read_table(
    path: Path,
    columns: Sequence[Column],
    *,
    table: str,
    rejects: Rejects,
    choices: Choices = NO_CHOICES,
    everything: bool = False,
) -> Iterator[pl.DataFrame]:
    """Yield the valid rows of a file, in file order: the table's columns and types, and `LINE`.

    The file is read once and kept on disk in parts, since the form of a column, such as a decimal
    comma, is decided by all its values.

    Args:
        path: The file; see `read_chunks` for the kinds.
        columns: The table.
        table: Its name in messages and in the report.
        rejects: Policy for bad rows; takes the report, which is complete when all rows are read.
        choices: Columns and forms that the user named.
        everything: True to count the values of columns that are not read, too.

    Raises:
        DataError: On a column that is missing, or a bad row when rejects stop.
        ConfigError: On a form that a column cannot have.
    """
    everything = everything and not _numbers(choices.columns.values())
    aliases = {normalise(column.name) for column in columns}.union(*(c.aliases for c in columns))

    def wanted(key: str) -> bool:
        return key in choices.columns.values() or normalise(key) in aliases

    with ScratchFolder("table") as folder:
        chunks = read_chunks(path, rejects=rejects, wanted=wanted, everything=everything)
        parts = FileParts(chunks, folder, lambda key: everything or wanted(key))
        if not parts.header:
            return
        found = checked_columns(parts.header, columns, choices.columns, table=table, path=path)
        readers = [
            ColumnReader(c, found.get(c.name), parts, choices.forms.get(c.name)) for c in columns
        ]
        reports = _reports(parts, readers)
        report = TableReport(path, table, parts.n_rows, reports, rejects.separator)
        rejects.reports.append(report)
        for frame in parts.frames():
            yield _typed(frame, readers, path, rejects)
        for line in report.notices():
            rejects.notice(line)


def _reports(parts: FileParts, readers: Sequence[ColumnReader]) -> list[ColumnReport]:
    """Return a report on each column of the file, in its order."""
    read = {reader.source: reader.report for reader in readers}
    return [read.get(source) or unread_column(source, parts) for source in parts.header]


def _typed(
    frame: pl.DataFrame, readers: Sequence[ColumnReader], path: Path, rejects: Rejects
) -> pl.DataFrame:
    """Return typed rows; a row with several faults is reported by its first."""
    bad = pl.Series([False]).new_from_index(0, frame.height)
    values, reports = [frame[LINE]], list[BadRow]()
    for reader in readers:
        column, (read, wrong) = reader.column, reader.read(frame)
        values.append(read)
        if not wrong.any():
            continue
        rows = frame.filter(wrong & ~bad)
        given = rows[reader.source] if reader.source in rows.columns else [None] * rows.height
        expected = KINDS[column.kind].expected
        reports += [
            BadRow(path, n, column.name, expected, it or "")
            for n, it in zip(rows[LINE], given, strict=True)
        ]
        bad = bad | wrong
    rejects.add(sorted(reports, key=lambda report: report.row))
    kept = pl.DataFrame(values).filter(~bad)
    return kept.select(*dtypes([reader.column for reader in readers]), LINE)


def header_of(path: Path, named: Iterable[str] = ()) -> list[str]:
    """Return the column names of a file, or the keys of its first rows.

    Args:
        path: The file.
        named: Columns that the user named; by their numbers where the file has no header.
    """
    wanted = _numbers(named).__contains__
    chunk = next(read_chunks(path, rejects=Rejects("skip", None), wanted=wanted), None)
    return [] if chunk is None else chunk.drop(LINE).columns


def _numbers(named: Iterable[str]) -> list[str]:
    """Return the columns named by number, which say that there is no header."""
    return [name for name in named if name.startswith("column ")]
