"""Parquet: in chunks of text columns, and rows one by one; the row number stands for the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.readers.files import CHUNK_ROWS, LINE, FileRow, brief

_ROWS_AT_ONCE = 2_000


def parquet_chunks(plain: Path, path: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of an unpacked file in chunks, every value as text."""
    start = 1
    for frame in _frames(plain, path, CHUNK_ROWS):
        yield _all_text(frame).with_row_index(LINE, start).cast({LINE: pl.Int64})
        start += frame.height


def parquet_rows(plain: Path, path: Path) -> Iterator[FileRow]:
    """Yield the rows of an unpacked file with the values they have."""
    number = 0
    for frame in _frames(plain, path, _ROWS_AT_ONCE):
        for number, fields in enumerate(frame.iter_rows(named=True), number + 1):  # noqa: B020
            yield FileRow(number, fields)


def _frames(plain: Path, path: Path, n_rows: int) -> Iterator[pl.DataFrame]:
    try:
        yield from pl.scan_parquet(plain).collect_batches(chunk_size=n_rows, maintain_order=True)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot be read as Parquet ({brief(error)})", path=path) from error


def _all_text(frame: pl.DataFrame) -> pl.DataFrame:
    def text(name: str, dtype: pl.DataType) -> pl.Expr:
        if isinstance(dtype, pl.List):
            struct = pl.struct(pl.col(name)).struct.json_encode()
            return struct.str.replace(r"^\{.*?:", "").str.replace(r"\}$", "").alias(name)
        if isinstance(dtype, pl.Datetime):
            return pl.col(name).dt.epoch("s").cast(pl.String)
        return pl.col(name).cast(pl.String)

    return frame.select(text(name, dtype) for name, dtype in frame.schema.items())
