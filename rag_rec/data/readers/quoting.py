"""Records of delimited text, one by one, with quotes read as they are meant.

Files write quotes by RFC 4180, behind a backslash (MySQL, Spark), or as plain text (an inch mark).
The first reading that gives the expected number of fields holds for a record, so that a stray quote
costs no other record.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple

_MAX_LINES = 10_000
"""Lines of the longest record; a quote that is open for longer is a stray one."""

_Line = tuple[int, bytes | None]


class TextRecord(NamedTuple):
    """One record.

    Attributes:
        number: Its first line.
        text: The record as it stands in the file, undecodable bytes as surrogates; None for a
            line that is too long.
        fields: Its fields, of any number; None if its quotes cannot be read.
    """

    number: int
    text: str | None
    fields: list[str] | None


class LineQueue:
    """Numbered lines that can be given back."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self._back: deque[_Line] = deque()

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        return self._back.popleft() if self._back else next(self._lines)

    def block(self, n: int) -> list[_Line]:
        """Take `n` lines or fewer, and those that follow until no quote is left open."""
        taken = list(islice(self, n))
        if sum((line or b"").count(b'"') for _, line in taken) % 2:
            for line in islice(self, _MAX_LINES):
                taken.append(line)
                if (line[1] or b"").count(b'"') % 2:
                    break
        return taken

    def give_back(self, lines: Sequence[_Line]) -> None:
        """Put lines back to be taken again first."""
        self._back.extendleft(reversed(lines))


class _Reading:
    """One way to read quotes: patterns of a quoted and a bare field, and of an escaped sign."""

    def __init__(self, delimiter: str, quoted: str, bare: str, escaped: str) -> None:
        field = rf"(?:{quoted}|({bare}))(?={re.escape(delimiter)}|\Z)"
        self._field = re.compile(field, re.DOTALL)
        self._escaped = re.compile(escaped)
        self.delimiter = delimiter

    def fields(self, text: str) -> list[str] | None:
        """Return the fields of a record; None if it is not written in this way."""
        fields: list[str] = []
        at = 0
        while found := self._field.match(text, at):
            quoted, bare = found.groups()
            if quoted is not None:
                quoted = self._escaped.sub(lambda pair: pair[0][-1], quoted)
            fields.append(bare if quoted is None else quoted)
            if found.end() == len(text):
                return fields
            at = found.end() + len(self.delimiter)
        return None

    def leaves_open(self, text: str) -> bool:
        """Return True if the number of quotes that are not escaped is odd."""
        return self._escaped.sub("", text).count('"') % 2 == 1


@cache
def _readings(delimiter: str) -> tuple[_Reading, _Reading, _Reading]:
    """Return the readings by RFC 4180, with backslashes, and of quotes that may be plain text."""
    end = rf"(?={re.escape(delimiter)}|\Z)"
    rest = ".*?" if len(delimiter) > 1 else f"[^{re.escape(delimiter)}]*+"
    bare = f'(?!"){rest}'
    closed = rf'(?! *"){rest}| *"[^"{re.escape(delimiter)}]*"{rest}'
    loose = rest if delimiter in {"\t", "::"} else closed
    return (
        _Reading(delimiter, r'"([^"]*+(?:""[^"]*+)*+)"', bare, '""'),
        _Reading(delimiter, r'"([^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+)"', bare, r'\\["\\]|""'),
        _Reading(delimiter, rf' *"((?:[^"]|"(?! *{end}))*+)" *', loose, r'[\\"]"'),
    )


def read_records(lines: LineQueue, delimiter: str, width: int | None) -> Iterator[TextRecord]:
    """Yield the records of some lines; a blank line is one of them.

    Args:
        lines: The lines; those after the last record taken stay in the queue.
        delimiter: The sign between fields.
        width: Expected number of fields; None for any.
    """
    for number, line in lines:
        text = None if line is None else _decoded(line)
        if text is None or '"' not in text:
            yield TextRecord(number, text, text.split(delimiter) if text is not None else None)
            continue
        *exact, lax = _readings(delimiter)
        tried: list[list[str] | None] = []
        for reading in exact:
            tried.append(reading.fields(text))
            if _fits(tried[-1], width):
                yield TextRecord(number, text, tried[-1])
                break
        else:
            over = (_over_lines(reading, (number, text), lines, width) for reading in exact)
            tried.append(lax.fields(text))
            fields = tried[-1] if _fits(tried[-1], width) else next(filter(None, tried), None)
            yield next(filter(None, over), None) or TextRecord(number, text, fields)


def _fits(fields: list[str] | None, width: int | None) -> bool:
    return fields is not None and width in {None, len(fields)}


def _over_lines(
    reading: _Reading, first: tuple[int, str], lines: LineQueue, width: int | None
) -> TextRecord | None:
    """Return the record that begins in a line and ends in a later one, if there is one."""
    number, text = first
    held: list[_Line] = []
    is_open = reading.leaves_open(text)
    while is_open and len(held) < _MAX_LINES and (line := next(lines, None)):
        held.append(line)
        if line[1] is None:
            break
        is_open ^= reading.leaves_open(_decoded(line[1]))
    if held and not is_open:
        text = "\n".join((text, *(_decoded(line or b"") for _, line in held)))
        fields = reading.fields(text)
        if _fits(fields, width) and not (
            could_be_rows(text, reading.delimiter, width) and _are_rows(text, reading.delimiter)
        ):
            return TextRecord(number, text, fields)
    lines.give_back(held)
    return None


def well_formed(text: str, delimiter: str, width: int) -> list[tuple[int, list[str]]] | None:
    """Return the records of lines that all follow RFC 4180, quickly; None if one does not.

    Args:
        text: Lines between line feeds.
        delimiter: The sign between fields.
        width: Number of fields of each record; a blank line has none.

    Returns:
        Each record with the number of its first line, from 0.
    """
    if len(delimiter) > 1 or '\\"' in text:
        return None
    records: list[tuple[int, list[str]]] = []
    lines = text.split("\n")
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    begin = 0
    try:
        for fields in reader:
            if fields and len(fields) != width:
                return None
            over = lines[begin : reader.line_num]
            if len(over) > 1 and could_be_rows("\n".join(over), delimiter, width):
                return None
            records.append((begin, fields))
            begin = reader.line_num
    except csv.Error:
        return None
    return records


def could_be_rows(text: str, delimiter: str, width: int | None) -> bool:
    """Return True if all lines of a record, or one inside it, could be rows by themselves."""
    fits = [line.count(delimiter) + 1 == width for line in text.split("\n")]
    return len(fits) > 1 and (all(fits) or any(fits[1:-1]))


def _are_rows(text: str, delimiter: str) -> bool:
    """Tell rows with two stray quotes from one field over several lines: by a field like ``b12``.

    Its letters and digits alternate in the same way in each line.
    """
    lines = [list(map(_shape, line.split(delimiter))) for line in text.split("\n")]
    if len(set(map(len, lines))) > 1:
        return False
    return any(
        len(shapes) == 1 and "0" in shapes.pop() for shapes in map(set, zip(*lines, strict=True))
    )


def _shape(field: str) -> str:
    return re.sub(r"\d+", "0", re.sub(r"[^\W\d_]+", "a", field.strip(' "\r\t')))


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n")
