"""Parquet: in chunks of text columns, and rows one by one; the row number stands for the line."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
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
    with _named(path):
        names = [name for name in pl.read_parquet_schema(plain) if name != LINE]
    used = [name for name in names if wanted is None or wanted(name)]
    start = 1
    for frame in _frames(plain, path, CHUNK_ROWS, used) if used else ():
        lines = pl.Series(LINE, range(start, start + frame.height), pl.Int64)
        text = pl.DataFrame([*map(_as_text, frame), lines])
        shown = _shown(frame, text) if wanted is None else _checked(frame, text, path, rejects)
        yield with_names(shown, names)
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
    n_read = 0
    with _named(path):
        whole = pl.scan_parquet(plain)
        n_whole = whole.select(pl.len()).collect().item()
        scan = whole if names is None else whole.select(cs.by_name(names))
        for frame in scan.collect_batches(chunk_size=n_rows, maintain_order=True):
            n_read += frame.height
            yield frame
    if n_read < n_whole:  # a reading thread of polars may end without an error
        raise DataError(f"is damaged: {n_read} of {n_whole} rows could be read", path=path)


@contextmanager
def _named(path: Path) -> Generator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"cannot be read as Parquet ({brief(error)})", path=path) from error


def _checked(frame: pl.DataFrame, text: pl.DataFrame, path: Path, rejects: Rejects) -> pl.DataFrame:
    """Return the text of rows without those whose bytes are no text, which are bad."""
    good = pl.Series([True]).new_from_index(0, frame.height)
    for column in frame:
        if column.dtype == pl.Binary:
            wrong = good & column.is_not_null() & text[column.name].is_null()
            for number in text[LINE].filter(wrong):
                rejects.add(
                    [BadRow(path, number, "(row)", f"UTF-8 text in {column.name}", "bytes")]
                )
            good = good & ~wrong
    return text.filter(good)


def _shown(frame: pl.DataFrame, text: pl.DataFrame) -> pl.DataFrame:
    """Return the text of rows with a word for bytes that are no text."""
    return text.with_columns(
        text[it.name].set(it.is_not_null() & text[it.name].is_null(), "(bytes)")
        for it in frame
        if it.dtype == pl.Binary
    )


def _as_text(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        zone = "" if dtype.time_zone in {None, "UTC"} else "%z"
        return column.dt.to_string(f"%Y-%m-%d %H:%M:%S{zone}")
    if dtype.is_nested() or isinstance(dtype, (pl.Binary, pl.Duration)):
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
