"""Parquet as chunks of text columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.chunk import CHUNK_ROWS, Chunk, brief


def read_parquet(plain: Path, path: Path) -> Iterator[Chunk]:
    """Chunks of an unpacked file; the row number stands for the line."""
    try:
        scan = pl.scan_parquet(plain)
        start = 0
        for frame in scan.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
            begin = start + 1
            yield Chunk(_all_text(frame), path, lambda rows, b=begin: [row + b for row in rows])
            start += frame.height
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
