"""Delimited text: in chunks of text columns, and records one by one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.readers.files import (
    BLANK,
    CHUNK_ROWS,
    LINE,
    TOO_LONG,
    FileRow,
    Wanted,
    numbered_lines,
)
from rag_rec.data.readers.quoting import (
    LineQueue,
    TextRecord,
    could_be_rows,
    read_records,
    well_formed,
)
from rag_rec.data.rejects import BadRow, Rejects

_BLANKS = " \t\r\n\f\v"
_NO_HEADER = re.compile(rb'|"?sep=."?', re.IGNORECASE)
_EMPTY = "rows without any value left out"
_DOUBTFUL = "quoted fields over lines that could be rows by themselves; is a quote a stray one?"


@dataclass(frozen=True, slots=True)
class Delimited:
    """An unpacked file of delimited text.

    Attributes:
        plain: The unpacked file.
        path: The file as errors name it.
        header: Column names, distinct; ``column 1``, ``column 2`` and so on without a header.
        first_line: Number of the line after the header.
        delimiter: A comma, a semicolon, a tab, a vertical bar or two colons.
    """

    plain: Path
    path: Path
    header: list[str]
    first_line: int
    delimiter: str

    @classmethod
    def open(cls, plain: Path, path: Path, wanted: Wanted | None = None) -> Delimited:
        """Read the header of a file.

        Args:
            plain: The unpacked file.
            path: The file as errors name it.
            wanted: Test for a column that is used. If it wants a column by its number and none by
                a name in the first line, that line is no header.

        Raises:
            DataError: If there is no header, it is not UTF-8, or it names a column twice.
        """
        record, delimiter = _first_record(plain, path)
        if record.text is None or record.fields is None:
            raise DataError("the header cannot be read as CSV", path=path, row=record.number)
        if not _is_unicode(record.text):
            raise DataError("the header is not UTF-8 text", path=path, row=record.number)
        names = [name.strip() for name in record.fields]
        numbered = [f"column {n}" for n in range(1, len(names) + 1)]
        if wanted and any(map(wanted, numbered)) and not any(map(wanted, names)):
            return cls(plain, path, numbered, record.number, delimiter)
        header: dict[str, None] = {}
        for name, other in zip(names, numbered, strict=True):
            if name in header and (wanted is None or wanted(name)):
                raise DataError(f"column '{name}' is named twice", path=path, row=record.number)
            header[other if name in {"", *header} else name] = None
        if len(header) < len(names):
            raise DataError("names of columns are not distinct", path=path, row=record.number)
        first_line = record.number + 1 + record.text.count("\n")
        return cls(plain, path, list(header), first_line, delimiter)

    def rows(self) -> Iterator[FileRow]:
        """Yield every record and blank line after the header."""
        with self.plain.open("rb") as handle:
            for record in self._records(self._lines(handle)):
                problem = self._problem(record)
                fields = {} if problem else dict(zip(self.header, record.fields or (), strict=True))
                yield FileRow(record.number, fields, problem)

    def chunks(self, rejects: Rejects) -> Iterator[pl.DataFrame]:
        """Yield the records in chunks, at least one; those without any value are left out."""
        rejects.separator = self.delimiter
        first = True
        remarks: Counter[str] = Counter()  # by their words
        with self.plain.open("rb") as handle:
            lines = self._lines(handle)
            while (block := lines.block(CHUNK_ROWS)) or first:
                first = False
                text = _text_of(block)
                if text is not None and '"' not in text:
                    yield self._split([number for number, _ in block], text, rejects, remarks)
                elif text and (records := well_formed(text, self.delimiter, len(self.header))):
                    yield self._frame({block[n][0]: it for n, it in records}, remarks)
                else:
                    lines.give_back(block)
                    records = islice(self._records(lines), CHUNK_ROWS)
                    yield self._checked(records, rejects, remarks)
        for remark, count in (+remarks).items():
            rejects.notice(f"{self.path.name}: {count} {remark}")

    def _lines(self, handle: IO[bytes]) -> LineQueue:
        numbered = numbered_lines(handle, self.path)
        return LineQueue(line for line in numbered if line[0] >= self.first_line)

    def _records(self, lines: LineQueue) -> Iterator[TextRecord]:
        return read_records(lines, self.delimiter, len(self.header))

    def _split(
        self, numbers: list[int], text: str, rejects: Rejects, remarks: Counter[str]
    ) -> pl.DataFrame:
        """Split lines without quotes, all at once."""
        width, row = len(self.header), pl.col("row")
        rows = text.split("\n")[: len(numbers)]
        frame = pl.DataFrame({LINE: numbers, "row": rows}, {LINE: pl.Int64, "row": pl.String})
        given = frame.filter(_filled(_BLANKS))
        rows = given.filter(_filled(_BLANKS + self.delimiter))
        remarks[_EMPTY] += given.height - rows.height
        fits = row.str.count_matches(self.delimiter, literal=True) == width - 1
        for number, found in rows.filter(~fits).iter_rows():
            rejects.add([self._bad(number, found)])
        good = rows.filter(fits)
        fields = good["row"].str.split_exact(self.delimiter, width - 1).struct.unnest()
        fields.columns = self.header
        return fields.with_columns(good[LINE])

    def _checked(
        self, records: Iterator[TextRecord], rejects: Rejects, remarks: Counter[str]
    ) -> pl.DataFrame:
        """Return records as a chunk."""
        good: dict[int, list[str]] = {}
        for record in records:
            text = TOO_LONG if record.text is None else record.text
            if not text.strip(_BLANKS + self.delimiter):
                remarks[_EMPTY] += bool(text.strip())
            elif self._problem(record):
                rejects.add([self._bad(record.number, text)])
            elif not _is_unicode(text):
                rejects.add([self._bad(record.number, text, "UTF-8 text")])
            else:
                good[record.number] = record.fields or []
                if could_be_rows(text, self.delimiter, len(self.header)):
                    remarks[_DOUBTFUL] += 1
        return self._frame(good, remarks)

    def _frame(self, records: dict[int, list[str]], remarks: Counter[str]) -> pl.DataFrame:
        filled = {n: it for n, it in records.items() if it and "".join(it).strip(_BLANKS)}
        remarks[_EMPTY] += sum(map(bool, records.values())) - len(filled)
        schema = dict.fromkeys(self.header, pl.String)
        frame = pl.DataFrame(list(filled.values()), schema, orient="row")
        return frame.with_columns(pl.Series(LINE, list(filled), pl.Int64))

    def _bad(self, number: int, found: str, expected: str | None = None) -> BadRow:
        expected = expected or f"{len(self.header)} fields as in the header"
        return BadRow(self.path, number, "(row)", expected, found)

    def _problem(self, record: TextRecord) -> str | None:
        if record.text is None:
            return TOO_LONG
        if not record.text.strip():
            return BLANK
        if record.fields is None:
            return "cannot be read as CSV; is a quote not closed?"
        n_fields, width = len(record.fields), len(self.header)
        return None if n_fields == width else f"{n_fields} fields where the header has {width}"


def _filled(blanks: str) -> pl.Expr:
    return pl.col("row").str.strip_chars(blanks) != ""


def _first_record(plain: Path, path: Path) -> tuple[TextRecord, str]:
    """Return the first record that is neither blank nor Excel's ``sep=;``, and its delimiter."""
    with plain.open("rb") as handle:
        lines = LineQueue(numbered_lines(handle, path))
        for number, line in lines:
            if line is None or not _NO_HEADER.fullmatch(line.strip()):
                delimiter = _delimiter_of(line or b"")
                lines.give_back([(number, line)])
                return next(read_records(lines, delimiter, None)), delimiter
    raise DataError("the file is empty; a header line is needed", path=path)


def _text_of(block: Sequence[tuple[int, bytes | None]]) -> str | None:
    """Return the text of some lines; None if one is too long or not UTF-8."""
    lines = [line for _, line in block if line is not None]
    if len(lines) < len(block):
        return None
    try:
        return b"".join(lines).decode().replace("\r\r\n", "\n").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _delimiter_of(line: bytes) -> str:
    outside = re.sub(rb'"[^"]*"', b"", line).decode("utf-8", "replace")
    return "::" if "::" in outside else max(",;\t|", key=outside.count)
