"""One table from its file: match columns, read values, set bad rows aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.readers.files import LINE
from rag_rec.data.readers.rows import read_chunks
from rag_rec.data.rejects import BadRow, Rejects
from rag_rec.data.schema import (
    KINDS,
    Column,
    dtypes,
    match_columns,
    normalise,
    read_value,
)


def read_table(
    path: Path, columns: Sequence[Column], *, mapping: Mapping[str, str], rejects: Rejects
) -> Iterator[pl.DataFrame]:
    """Yield the valid rows of a file, in file order: the table's columns and types, and `LINE`.

    Args:
        path: The file; see `read_chunks` for the kinds.
        columns: The table.
        mapping: Table column to file column where the names are not recognised.
        rejects: Policy for bad rows.

    Raises:
        DataError: On a column that is missing, or a bad row when rejects stop.
    """
    unknown = set(mapping) - {column.name for column in columns}
    if unknown:
        known = ", ".join(column.name for column in columns)
        raise DataError(
            f"no such column to map: {', '.join(sorted(unknown))}; there are {known}", path=path
        )
    aliases = {normalise(column.name) for column in columns}.union(*(c.aliases for c in columns))
    sources = set(mapping.values())

    def wanted(key: str) -> bool:
        return key in sources or normalise(key) in aliases

    for chunk in read_chunks(path, rejects=rejects, wanted=wanted):
        yield _typed(_renamed(chunk, columns, mapping, path), columns, path, rejects)


def header_of(path: Path) -> list[str]:
    """Return the column names of a file, or the keys of its first rows."""
    chunk = next(read_chunks(path, rejects=Rejects("skip", None)), None)
    return [] if chunk is None else chunk.drop(LINE).columns


def _renamed(
    chunk: pl.DataFrame, columns: Sequence[Column], mapping: Mapping[str, str], path: Path
) -> pl.DataFrame:
    """Return the table's columns of a chunk under the table's names, as text, and `LINE`."""
    header = chunk.drop(LINE).columns
    for name, source in mapping.items():
        if source not in header:
            raise DataError(
                f"column '{source}' for {name} is not in the file, which has {', '.join(header)}",
                path=path,
            )
    found = match_columns(header, columns, mapping)
    for column in columns:
        if column.required and column.name not in found:
            raise DataError(
                f"no column for {column.name}; the file has {', '.join(header)} "
                f"(name it with --columns {column.name}=...)",
                path=path,
                field=column.name,
            )
    absent = [c.name for c in columns if c.name not in found]
    named = (pl.col(source).alias(name) for name, source in found.items())
    return chunk.select(*named, LINE).with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in absent
    )


def _typed(
    text: pl.DataFrame, columns: Sequence[Column], path: Path, rejects: Rejects
) -> pl.DataFrame:
    """Return typed rows; a row with several faults is reported by its first."""
    values = text.select(LINE, *(read_value(column).alias(column.name) for column in columns))
    bad = pl.Series([False]).new_from_index(0, text.height)
    reports: list[BadRow] = []
    for column in columns:
        wrong = _wrong(column, text[column.name], values[column.name])
        if column.lenient:
            _notice_unread(column, int(wrong.sum()), path, rejects)
            continue
        found = text.filter(wrong & ~bad).select(LINE, pl.col(column.name).fill_null(""))
        expected = KINDS[column.kind].expected
        reports += [BadRow(path, n, column.name, expected, it) for n, it in found.iter_rows()]
        bad = bad | wrong
    rejects.add(sorted(reports, key=lambda report: report.row))
    blank = [pl.col(c.name).fill_null("") for c in columns if c.kind == "text" and not c.required]
    kept = values.filter(~bad).with_columns(blank)
    return kept.select(*dtypes(columns), LINE).cast(pl.Schema(dtypes(columns)))


def _wrong(column: Column, given: pl.Series, values: pl.Series) -> pl.Series:
    """Return a mask of the rows in which a value cannot be read, or is missing and required."""
    absent = given.is_null() | (given.str.strip_chars() == "")
    return values.is_null() & (~absent | column.required)


def _notice_unread(column: Column, count: int, path: Path, rejects: Rejects) -> None:
    if count:
        expected = KINDS[column.kind].expected
        rejects.notice(
            f"{path.name}: {count} values of {column.name} are not {expected}; left empty"
        )
