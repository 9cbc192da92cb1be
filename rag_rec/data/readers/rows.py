"""Rows of a user file, one at a time, each bad one by its number.

The data readers take columns, fifty thousand rows at once, and hold the rest of a file in memory
when one row is bad. A batch meets its users one by one for hours, so here a row is read when it is
needed, and whatever is wrong with it is told about this row and no other.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import polars as pl

from rag_rec.core import DataError, parse_json
from rag_rec.data.readers.compressed import ending, plain_file

_MAX_LINE = 32 << 20
_MAX_QUOTED_LINES = 100
_PARQUET_ROWS = 2_000
_BLANK = "is a blank line"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        number: Its line, counted from 1 with the header; for Parquet its row from 1.
        fields: Column or key to value: text for CSV, any JSON for JSON lines.
        problem: Why there are no fields, or None.
    """

    number: int
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a file, in order; a blank line is a bad row, unless nothing comes after it.

    Args:
        path: ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet``, or one of them as
            ``.gz`` or ``.zip``.

    Raises:
        DataError: If the file as a whole cannot be read: no such file, no header, UTF-16.
    """
    with plain_file(path) as plain:
        match ending(plain):
            case "csv" | "txt" | "tsv":
                with plain.open("rb") as handle:
                    rows = _csv_rows(handle, path, tabs=ending(plain) == "tsv")
                    yield from _without_last_blanks(rows)
            case "jsonl" | "ndjson":
                with plain.open("rb") as handle:
                    yield from _without_last_blanks(_json_rows(handle, path))
            case "parquet" | "pq":
                yield from _parquet_rows(plain, path)
            case other:
                raise DataError(
                    f"user files end in .csv, .tsv, .jsonl or .parquet, not '.{other}'", path=path
                )


def count_rows(path: Path) -> int | None:
    """About how many rows a file has, quickly, for the time left; None where that takes long."""
    if ending(path) in {"parquet", "pq"}:
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())
    if ending(path) in {"gz", "zip"}:
        return None
    with path.open("rb") as handle:
        lines, last = 0, b"\n"
        while part := handle.read(1 << 20):
            lines, last = lines + part.count(b"\n"), part[-1:]
    lines += last != b"\n"
    return max(0, lines - (ending(path) not in {"jsonl", "ndjson"}))


def _lines(handle: IO[bytes], path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines without a byte order mark; None for one that is too long."""
    head = handle.read(3)
    if head[:2] in _UTF16:
        raise DataError("is UTF-16; save it as UTF-8", path=path)
    handle.seek(0 if head != b"\xef\xbb\xbf" else 3)
    number = 0
    while line := handle.readline(_MAX_LINE):
        number += 1
        if len(line) == _MAX_LINE and not line.endswith(b"\n"):
            while (rest := handle.readline(_MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        else:
            yield number, line


def _without_last_blanks(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows; blank lines at the end of a file are not rows."""
    first = n_blank = 0
    for row in rows:
        if row.problem == _BLANK:
            first, n_blank = (first if n_blank else row.number), n_blank + 1
            continue
        for number in range(first, first + n_blank):
            yield Row(number, problem=_BLANK)
        n_blank = 0
        yield row


# --- JSON lines -----------------------------------------------------------------------------


def _json_rows(handle: IO[bytes], path: Path) -> Iterator[Row]:
    for number, line in _lines(handle, path):
        if line is None:
            yield Row(number, problem=f"a line of more than {_MAX_LINE >> 20} MiB")
        elif line.strip():
            yield _json_row(number, line)
        else:
            yield Row(number, problem=_BLANK)


def _json_row(number: int, line: bytes) -> Row:
    try:
        value = parse_json(line.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        return Row(number, problem=f"is not UTF-8 text ({error.reason} at byte {error.start})")
    except ValueError as error:
        return Row(number, problem=f"is not one JSON object ({str(error)[:100]})")
    if not isinstance(value, dict):
        return Row(number, problem=f"is not one JSON object but {type(value).__name__}")
    return Row(number, cast("dict[str, Any]", value))


# --- delimited text -------------------------------------------------------------------------


def _csv_rows(handle: IO[bytes], path: Path, *, tabs: bool) -> Iterator[Row]:
    lines = _Lines(_lines(handle, path))
    first = next((line for line in lines if line[1] is None or line[1].strip()), None)
    if first is None:
        raise DataError("the file is empty; a header line is needed", path=path)
    header, delimiter = _header(first[1], path, tabs=tabs)
    for number, fields in _records(lines, delimiter, len(header)):
        if isinstance(fields, str):
            yield Row(number, problem=fields)
        elif len(fields) != len(header):
            yield Row(number, problem=f"{len(fields)} fields where the header has {len(header)}")
        else:
            yield Row(number, dict(zip(header, fields, strict=True)))


def _header(line: bytes | None, path: Path, *, tabs: bool) -> tuple[list[str], str]:
    try:
        text = (line or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError("the header is not UTF-8 text", path=path, row=1) from error
    delimiter = "\t" if tabs else max(",;\t", key=text.count)
    fields = next(csv.reader([text], delimiter=delimiter), [])
    header = [name.strip() for name in fields]
    if len(set(header)) < len(header):
        raise DataError(f"a column is named twice: {', '.join(header)}", path=path, row=1)
    return header, delimiter


class _Lines:
    """Lines that can be given back."""

    def __init__(self, lines: Iterator[tuple[int, bytes | None]]) -> None:
        self._lines = lines
        self._back: deque[tuple[int, bytes | None]] = deque()

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        return self

    def __next__(self) -> tuple[int, bytes | None]:
        return self._back.popleft() if self._back else next(self._lines)

    def give_back(self, lines: list[tuple[int, bytes | None]]) -> None:
        self._back.extendleft(reversed(lines))


def _records(lines: _Lines, delimiter: str, n_fields: int) -> Iterator[tuple[int, list[str] | str]]:
    """Number of the first line of each record, with its fields or what is wrong with it."""
    for number, line in lines:
        if line is None:
            yield number, f"a line of more than {_MAX_LINE >> 20} MiB"
            continue
        if not line.strip():
            yield number, _BLANK
            continue
        held = _quoted_lines((number, line), lines, quotes=delimiter != "\t")
        records = _parsed(held, delimiter)
        if len(held) > 1 and any(len(fields) != n_fields for _, fields in records):
            lines.give_back(list(held[1:]))  # not one record after all: a stray quote
            records = _parsed(held[:1], delimiter)
        yield from records


def _quoted_lines(
    first: tuple[int, bytes], lines: _Lines, *, quotes: bool
) -> list[tuple[int, bytes]]:
    """The lines of a record; only the first where a quote in it is not closed soon."""
    held = [first]
    odd = quotes and first[1].count(b'"') % 2 == 1
    while odd and len(held) < _MAX_QUOTED_LINES:
        number, more = next(lines, (0, None))
        if more is None:
            break
        held.append((number, more))
        odd = more.count(b'"') % 2 == 0
    if odd:
        lines.give_back(list(held[1:]))
    return held[:1] if odd else held


def _parsed(held: list[tuple[int, bytes]], delimiter: str) -> list[tuple[int, list[str] | str]]:
    """Fields of the records in some lines, with the number of the line where each begins."""
    csv.field_size_limit(1 << 30)
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    texts = [line.decode("utf-8", "surrogateescape") for _, line in held]
    reader = csv.reader(texts, delimiter=delimiter, quoting=quoting, strict=True)
    records: list[tuple[int, list[str] | str]] = []
    begin = 0
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return records
        except csv.Error as error:
            why = f"cannot be read as CSV ({error}); is a quote not closed?"
            return [*records, (held[min(begin, len(held) - 1)][0], why)]
        records.append((held[begin][0], fields))
        begin = reader.line_num


# --- Parquet --------------------------------------------------------------------------------


def _parquet_rows(plain: Path, path: Path) -> Iterator[Row]:
    number = 0
    try:
        batches = pl.scan_parquet(plain).collect_batches(
            chunk_size=_PARQUET_ROWS, maintain_order=True
        )
        for frame in batches:
            for fields in frame.iter_rows(named=True):
                number += 1
                yield Row(number, fields)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"cannot be read as Parquet ({' '.join(str(error).split())[:160]})", path=path
        ) from error
