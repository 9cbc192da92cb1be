"""One table from its files: match columns, read values, set bad rows aside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.chunk import Chunk
from rag_rec.data.rejects import BadRow, Rejects
from rag_rec.data.schema import (
    EXPECTED,
    ROW,
    Column,
    dtypes,
    match_columns,
    normalise,
    read_value,
)
from rag_rec.data.tables import read_chunks


def read_table(
    path: Path,
    columns: Sequence[Column],
    *,
    mapping: Mapping[str, str],
    rejects: Rejects,
) -> Iterator[pl.DataFrame]:
    """Valid rows of a file, in file order: the table's columns and types, and `ROW`.

    Args:
        path: The file.
        columns: The table.
        mapping: Table column to file column where the names are not recognised.
        rejects: Where bad rows go.

    Raises:
        DataError: On a column that is missing, or a bad row when rejects stop.
    """
    missing = set(mapping) - {column.name for column in columns}
    if missing:
        names = ", ".join(column.name for column in columns)
        raise DataError(
            f"no such column to map: {', '.join(missing)}; there are {names}", path=path
        )
    names = {normalise(column.name) for column in columns}.union(*(c.aliases for c in columns))
    sources = set(mapping.values())

    def wanted(key: str) -> bool:
        return key in sources or normalise(key) in names

    start = 0
    for chunk in read_chunks(path, rejects=rejects, wanted=wanted):
        yield validate(_renamed(chunk, columns, mapping), chunk, columns, rejects, start=start)
        start += chunk.frame.height


def find_lines(path: Path, rows: Sequence[int]) -> list[int]:
    """Line numbers of row numbers of a file; reads it again, so it is for error messages."""
    found: dict[int, int] = {}
    start = 0
    for chunk in read_chunks(path, rejects=Rejects("skip", Path(os.devnull))):
        here = [row for row in rows if start <= row < start + chunk.frame.height]
        found.update(zip(here, chunk.lines([row - start for row in here]), strict=True))
        start += chunk.frame.height
    return [found.get(row, 0) for row in rows]


def _renamed(chunk: Chunk, columns: Sequence[Column], mapping: Mapping[str, str]) -> pl.DataFrame:
    header = chunk.frame.columns
    for name, source in mapping.items():
        if source not in header:
            raise DataError(
                f"column '{source}' for {name} is not in the file, which has {', '.join(header)}",
                path=chunk.path,
            )
    found = match_columns(header, columns, mapping)
    for column in columns:
        if column.required and column.name not in found:
            raise DataError(
                f"no column for {column.name}; the file has {', '.join(header)} "
                f"(name it with --columns {column.name}=...)",
                path=chunk.path,
                field=column.name,
            )
    return chunk.frame.select(
        pl.col(found[column.name]).alias(column.name)
        if column.name in found
        else pl.lit(None, dtype=pl.String).alias(column.name)
        for column in columns
    )


def validate(
    text: pl.DataFrame, chunk: Chunk, columns: Sequence[Column], rejects: Rejects, *, start: int
) -> pl.DataFrame:
    """Typed rows of a frame of text columns that already has the table's names."""
    values = text.select(read_value(column).alias(column.name) for column in columns)
    numbers = pl.int_range(start, start + text.height, dtype=pl.Int64, eager=True).alias(ROW)
    bad = pl.Series("bad", [False]).new_from_index(0, text.height)
    reports: list[BadRow] = []
    for column in columns:
        given = text[column.name]
        absent = given.is_null() | (given.str.strip_chars() == "")
        unread = values[column.name].is_null() & ~absent
        if column.lenient:
            _notice_lenient(column, int(unread.sum()), chunk.path, rejects)
            unread = unread & False
        wrong = (unread | absent) if column.required else unread
        fresh = wrong & ~bad
        rows = fresh.arg_true().to_list()
        if rows:
            reports += _reports(column, given, rows, chunk)
            bad = bad | wrong
    rejects.add(sorted(reports, key=lambda report: report.row))
    kept = values.cast(pl.Schema(dtypes(columns))).with_columns(numbers).filter(~bad)
    blank = [pl.col(c.name).fill_null("") for c in columns if c.kind == "text" and not c.required]
    return kept.with_columns(blank)


def _reports(column: Column, given: pl.Series, rows: list[int], chunk: Chunk) -> list[BadRow]:
    lines = chunk.lines(rows)
    found = given.gather(rows).fill_null("").to_list()
    return [
        BadRow(chunk.path, line, column.name, EXPECTED[column.kind], value)
        for line, value in zip(lines, found, strict=True)
    ]


def _notice_lenient(column: Column, count: int, path: Path, rejects: Rejects) -> None:
    if count:
        rejects.notice(f"{path.name}: {count} values of {column.name} are not "
                       f"{EXPECTED[column.kind]}; left empty")  # fmt: skip
