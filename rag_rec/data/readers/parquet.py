"""Parquet: in chunks of text columns, and rows one by one; the row number stands for the line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from rag_rec.core import DataError
from rag_rec.data.readers.files import CHUNK_ROWS, LINE, FileRow, Wanted, brief, with_names
from rag_rec.data.rejects import BadRow, Rejects

_ROWS_AT_ONCE = 2_000


def parquet_chunks(
    plain: Path, path: Path, rejects: Rejects, wanted: Wanted | None
) -> Iterator[pl.DataFrame]:
    """Yield the rows of an unpacked file in chunks, at least one, every value as text.

    Columns that are not wanted are not read, whatever they hold.
    """
    try:
        names = list(pl.read_parquet_schema(plain))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot be read as Parquet ({brief(error)})", path=path) from error
    used = [name for name in names if wanted is None or wanted(name)]
    start = 1
    for frame in _frames(plain, path, CHUNK_ROWS, used) if used else ():
        yield with_names(_checked(frame, start, path, rejects), names)
        start += frame.height
    if start == 1:
        yield with_names(pl.DataFrame(schema={LINE: pl.Int64}), names)


def parquet_rows(plain: Path, path: Path) -> Iterator[FileRow]:
    """Yield the rows of an unpacked file with the values they have."""
    number = 0
    for frame in _frames(plain, path, _ROWS_AT_ONCE):
        for number, fields in enumerate(frame.iter_rows(named=True), number + 1):  # noqa: B020
            yield FileRow(number, fields)


def _frames(
    plain: Path, path: Path, n_rows: int, names: list[str] | None = None
) -> Iterator[pl.DataFrame]:
    scan = pl.scan_parquet(plain).select(cs.all() if names is None else cs.by_name(names))
    try:
        yield from scan.collect_batches(chunk_size=n_rows, maintain_order=True)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot be read as Parquet ({brief(error)})", path=path) from error


def _checked(frame: pl.DataFrame, start: int, path: Path, rejects: Rejects) -> pl.DataFrame:
    """Return the rows as text, with `LINE`; bytes that are no text make a bad row."""
    lines = pl.Series(LINE, range(start, start + frame.height), pl.Int64)
    texts = {column.name: _as_text(column) for column in frame}
    good = pl.Series([True]).new_from_index(0, frame.height)
    for name, text in texts.items():
        if frame[name].dtype == pl.Binary:
            wrong = good & frame[name].is_not_null() & text.is_null()
            rejects.add(BadRow(path, n, name, "UTF-8 text", "bytes") for n in lines.filter(wrong))
            good = good & ~wrong
    return pl.DataFrame([*texts.values(), lines]).filter(good)


def _as_text(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        zoned = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC")
        return zoned.dt.to_string("%Y-%m-%d %H:%M:%S")
    if dtype.is_nested() or dtype in {pl.Binary, pl.Duration}:
        return pl.Series(column.name, map(_written, column.to_list()), pl.String)
    return (column.fill_nan(None) if dtype.is_float() else column).cast(pl.String)


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return json.dumps(value, ensure_ascii=False, default=_written)
