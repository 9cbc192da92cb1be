"""Delimited text: in chunks of text columns, and records one by one."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.readers.files import (
    BLANK,
    CHUNK_ROWS,
    LINE,
    TOO_LONG,
    FileRow,
    numbered_lines,
)
from rag_rec.data.rejects import BadRow, Rejects

_MAX_QUOTED_LINES = 100
"""Lines of the longest record; a quote that is open for longer is taken for a stray one."""

_Line = tuple[int, bytes | None]
_Record = tuple[int, list[str] | str]
"""Number of a record's first line, with its fields or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Delimited:
    """An unpacked file of delimited text with a header.

    Attributes:
        plain: The unpacked file.
        path: The file as errors name it.
        header: Column names, distinct.
        first_line: Number of the line after the header.
        delimiter: A comma, a semicolon or a tab; with tabs, quotes are text.
    """

    plain: Path
    path: Path
    header: list[str]
    first_line: int
    delimiter: str

    @classmethod
    def open(cls, plain: Path, path: Path, *, tabs: bool) -> Delimited:
        """Read the header of a file.

        Raises:
            DataError: If there is none, it is not UTF-8, or it names a column twice.
        """
        with plain.open("rb") as handle:
            lines = _LineQueue(numbered_lines(handle, path))
            number, first = next((at for at in lines if at[1] is None or at[1].strip()), (0, b""))
            if first == b"":
                raise DataError("the file is empty; a header line is needed", path=path)
            delimiter = "\t" if tabs else _delimiter_of(first or b"")
            lines.give_back([(number, first)])
            _, fields = next(_records(lines, delimiter, None))
        if isinstance(fields, str):
            raise DataError(f"the header {fields}", path=path, row=number)
        if not _is_unicode(fields):
            raise DataError("the header is not UTF-8 text", path=path, row=number)
        header = [name.strip() or f"column {n}" for n, name in enumerate(fields, 1)]
        if len(set(header)) < len(header):
            raise DataError(f"a column is named twice: {', '.join(header)}", path=path, row=number)
        first_line = number + 1 + sum(name.count("\n") for name in fields)
        return cls(plain, path, header, first_line, delimiter)

    def rows(self) -> Iterator[FileRow]:
        """Yield every record and blank line after the header."""
        for number, fields in self._records():
            if isinstance(fields, str):
                yield FileRow(number, problem=fields)
            elif len(fields) != len(self.header):
                problem = f"{len(fields)} fields where the header has {len(self.header)}"
                yield FileRow(number, problem=problem)
            else:
                yield FileRow(number, dict(zip(self.header, fields, strict=True)))

    def _records(self) -> Iterator[_Record]:
        """Yield the records after the header, each with the number of its first line."""
        with self.plain.open("rb") as handle:
            numbered = numbered_lines(handle, self.path)
            lines = (line for line in numbered if line[0] >= self.first_line)
            yield from _records(_LineQueue(lines), self.delimiter, len(self.header))

    def chunks(self, rejects: Rejects) -> Iterator[pl.DataFrame]:
        """Yield the records in chunks; blank ones are left out, short ones end in nulls."""
        line = self.first_line
        try:
            scan = pl.scan_csv(
                self.plain,
                separator=self.delimiter,
                quote_char=None if self.delimiter == "\t" else '"',
                infer_schema=False,
                encoding="utf8",
                new_columns=self.header,
            )
            for batch in scan.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
                numbered, line = self._numbered(batch, line)
                yield numbered.filter(
                    pl.any_horizontal(pl.col(self.header).str.strip_chars() != "")
                )
        except pl.exceptions.PolarsError:  # a stray quote, a surplus field, a byte out of place
            yield self._careful_chunk(line, rejects)

    def _numbered(self, batch: pl.DataFrame, line: int) -> tuple[pl.DataFrame, int]:
        """Add `LINE` to records from `line` on; return with them the line after the last."""
        breaks = pl.all().str.count_matches("\n", literal=True).fill_null(0)
        after = line + batch.select(pl.sum_horizontal(breaks) + 1).to_series().cum_sum()
        begin = after.shift(1, fill_value=line).cast(pl.Int64).alias(LINE)
        return batch.with_columns(begin), int(after[-1]) if batch.height else line

    def _careful_chunk(self, line: int, rejects: Rejects) -> pl.DataFrame:
        """Read the records from `line` on one by one, to find out which are at fault."""
        width = len(self.header)
        good: dict[int, list[str | None]] = {}
        for number, fields in self._records():
            if number < line or fields == BLANK or not "".join(fields).strip():
                continue
            expected = _expected(fields, width)
            if expected or isinstance(fields, str):
                found = fields if isinstance(fields, str) else self.delimiter.join(fields)
                rejects.add([BadRow(self.path, number, "(row)", expected, found)])
            else:
                good[number] = [*fields, *[None] * (width - len(fields))]
        frame = pl.DataFrame(
            list(good.values()), dict.fromkeys(self.header, pl.String), orient="row"
        )
        return frame.with_columns(pl.Series(LINE, list(good), pl.Int64))


def _expected(fields: list[str] | str, width: int) -> str:
    """Return what a record should have been; empty if nothing is wrong with it."""
    if isinstance(fields, str):
        return "one record of CSV"
    if len(fields) > width:
        return f"{width} fields as in the header"
    return "" if _is_unicode(fields) else "UTF-8 text"


def _is_unicode(fields: list[str]) -> bool:
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return False
    return True


def _delimiter_of(line: bytes) -> str:
    outside = re.sub(rb'"[^"]*"', b"", line).decode("utf-8", "replace")
    return max(",;\t", key=outside.count)


class _LineQueue:
    """Lines that can be given back."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self._back: deque[_Line] = deque()

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        return self._back.popleft() if self._back else next(self._lines)

    def give_back(self, lines: Sequence[_Line]) -> None:
        self._back.extendleft(reversed(lines))


def _records(lines: _LineQueue, delimiter: str, width: int | None) -> Iterator[_Record]:
    """Yield records; one over several lines must have `width` fields, else a quote is stray."""
    for number, line in lines:
        if line is None:
            yield number, TOO_LONG
        elif not line.strip():
            yield number, BLANK
        elif (b'"' not in line or delimiter == "\t") and b"\r" not in line.rstrip(b"\r\n"):
            text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            yield number, text.split(delimiter)
        else:
            held = _quoted_lines((number, line), lines, quotes=delimiter != "\t")
            records = _parsed(held, delimiter)
            if width and len(held) > 1 and any(len(fields) != width for _, fields in records):
                lines.give_back(held[1:])
                records = _parsed(held[:1], delimiter)
            yield from records


def _quoted_lines(
    first: tuple[int, bytes], lines: _LineQueue, *, quotes: bool
) -> list[tuple[int, bytes]]:
    """Return the lines of a record; only the first where a quote in it is not closed soon."""
    held = [first]
    odd = quotes and first[1].count(b'"') % 2 == 1
    while odd and len(held) < _MAX_QUOTED_LINES:
        number, more = next(lines, (0, None))
        if more is None:
            if number:
                lines.give_back([(number, more)])
            break
        held.append((number, more))
        odd = more.count(b'"') % 2 == 0
    if odd:
        lines.give_back(held[1:])
    return held[:1] if odd else held


def _parsed(held: list[tuple[int, bytes]], delimiter: str) -> list[_Record]:
    """Return the records in some lines, each with the number of the line where it begins."""
    csv.field_size_limit(1 << 30)
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    texts = [line.decode("utf-8", "surrogateescape") for _, line in held]
    reader = csv.reader(texts, delimiter=delimiter, quoting=quoting, strict=True)
    records: list[_Record] = []
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
