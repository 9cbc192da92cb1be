"""Rows of any file, by its ending: in chunks for tables, or one by one.

A chunk holds up to fifty thousand rows as columns of text, so that a table is validated in one
place whatever it was stored in. A batch meets its users one by one for hours, so for it a row is
read when it is needed, and a problem costs that row and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.readers.delimited import Delimited
from rag_rec.data.readers.encoding import utf8_file
from rag_rec.data.readers.files import (
    BLANK,
    LINE,
    FileRow,
    Wanted,
    ending,
    parts_of,
    plain_file,
)
from rag_rec.data.readers.json_lines import json_chunks, json_rows
from rag_rec.data.readers.parquet import parquet_chunks, parquet_rows
from rag_rec.data.rejects import Rejects

_DELIMITED = {"csv", "tsv", "txt", "tab", "dat", "data", "inter", "item", "user"}
_JSON_LINES = {"jsonl", "ndjson"}
_PARQUET = {"parquet", "pq"}


def read_chunks(
    path: Path, *, rejects: Rejects, wanted: Wanted | None = None, everything: bool = False
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file in chunks: text columns under the file's names, and `LINE`.

    Args:
        path: ``.csv``, ``.tsv``, ``.txt``, ``.dat``, ``.data`` or RecBole's ``.inter``, ``.item``
            and ``.user`` (separated by a comma, semicolon, tab, bar or two colons), ``.jsonl``,
            ``.json`` (lines, or a document with a table in it), ``.parquet``; packed with gzip or
            zip or not; or a folder of such files, whose rows are counted through.
        rejects: Policy for bad lines.
        wanted: Test for a column that is used; None for all of them. In JSON and Parquet the
            others are there by name, without values.
        everything: True for the values of columns that are not used, too.

    Raises:
        DataError: If the file is missing, of unknown kind, or has a bad line and rejects stop.
    """
    before = 0
    for part in parts_of(path):
        last = 0
        for chunk in _chunks(part, rejects, wanted, everything=everything):
            last = chunk.item(-1, LINE) if chunk.height else last
            yield chunk.with_columns(chunk[LINE] + before)
        before += last


def _chunks(
    path: Path, rejects: Rejects, wanted: Wanted | None, *, everything: bool
) -> Iterator[pl.DataFrame]:
    read = None if everything else wanted
    with plain_file(path) as plain:
        if (kind := _kind(plain)) in _PARQUET:
            yield from parquet_chunks(plain, path, rejects, read)
        elif kind in _JSON_LINES | {"json"}:
            with utf8_file(plain, path, rejects) as text:
                yield from json_chunks(text, path, rejects, read)
        elif kind in _DELIMITED:
            with utf8_file(plain, path, rejects) as text:
                yield from Delimited.open(text, path, wanted).chunks(rejects)
        else:
            raise DataError(
                f"cannot read files ending in '.{kind}'; "
                "use .csv, .tsv, .jsonl, .json or .parquet, plain, .gz or .zip",
                path=path,
            )


def _kind(plain: Path) -> str:
    """Return the ending that a file should have."""
    with plain.open("rb") as handle:
        return "parquet" if handle.read(4) == b"PAR1" else ending(plain)


def read_rows(path: Path) -> Iterator[FileRow]:
    """Yield the rows of a file; a blank line is a bad row, unless nothing comes after it.

    Args:
        path: ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet``, or one of them packed
            with gzip or zip.

    Raises:
        DataError: If the file as a whole cannot be read: no such file, no header, UTF-16.
    """
    with plain_file(path) as plain:
        kind = ending(plain)
        if kind in {"csv", "txt", "tsv"}:
            yield from _without_last_blanks(Delimited.open(plain, path).rows())
        elif kind in _JSON_LINES:
            with plain.open("rb") as handle:
                yield from _without_last_blanks(json_rows(handle, path))
        elif kind in _PARQUET:
            yield from parquet_rows(plain, path)
        else:
            raise DataError(
                f"user files end in .csv, .tsv, .jsonl or .parquet, not '.{kind}'", path=path
            )


def count_rows(path: Path) -> int | None:
    """Estimate the rows of a file for the time left; None where that would take long.

    Raises:
        DataError: If there is no such file.
    """
    if not path.is_file():
        raise DataError("is a folder" if path.is_dir() else "there is no such file", path=path)
    if ending(path) in _PARQUET:
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())
    if ending(path) in {"gz", "zip"}:
        return None
    with path.open("rb") as handle:
        lines, last = 0, b"\n"
        while part := handle.read(1 << 20):
            lines, last = lines + part.count(b"\n"), part[-1:]
    lines += last != b"\n"
    return max(0, lines - (ending(path) not in _JSON_LINES))


def _without_last_blanks(rows: Iterator[FileRow]) -> Iterator[FileRow]:
    """Leave out the blank lines at the end of a file; holds none of them in memory."""
    first = n_blank = 0
    for row in rows:
        if row.problem == BLANK:
            first, n_blank = (first if n_blank else row.number), n_blank + 1
            continue
        for number in range(first, first + n_blank):
            yield FileRow(number, problem=BLANK)
        n_blank = 0
        yield row
