"""JSON lines and JSON documents: in chunks of text columns, and lines one by one."""

from __future__ import annotations

import ast
import codecs
import io
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import polars as pl

from rag_rec.core import DataError, parse_json, read_json
from rag_rec.data.readers.files import (
    BLANK,
    LINE,
    MAX_LINE,
    TOO_LONG,
    FileRow,
    Wanted,
    brief,
    numbered_lines,
    with_names,
)
from rag_rec.data.rejects import BadRow, Rejects

_CHUNK_BYTES = 16 << 20
_KEY = re.compile(rb'["\']([^"\'\\]{1,200})["\']\s*:')
"""All that looks like a key, nested keys included."""
_N_SHOWN = 100
"""Records of a chunk whose keys are known by name though they are not wanted."""


Table = dict[str, Any]
Names = dict[str, None]


class _Element(NamedTuple):
    """One record as it was read: its line or number, its value, and how to show it."""

    number: int
    value: Any
    shown: str


def json_rows(handle: IO[bytes], path: Path) -> Iterator[FileRow]:
    """Yield every line as one strictly read object, or with its problem."""
    for number, line in numbered_lines(handle, path):
        if line is None:
            yield FileRow(number, problem=TOO_LONG)
        elif line.strip():
            yield _json_row(number, line)
        else:
            yield FileRow(number, problem=BLANK)


def _json_row(number: int, line: bytes) -> FileRow:
    try:
        value = parse_json(line.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        return FileRow(number, problem=f"is not UTF-8 text ({error.reason} at byte {error.start})")
    except ValueError as error:
        return FileRow(number, problem=f"is not one JSON object ({str(error)[:100]})")
    if not isinstance(value, dict):
        return FileRow(number, problem=f"is not one JSON object but {type(value).__name__}")
    return FileRow(number, cast("dict[str, Any]", value))


def json_chunks(
    plain: Path, path: Path, rejects: Rejects, wanted: Wanted | None
) -> Iterator[pl.DataFrame]:
    """Yield the objects of a file in chunks, whether it holds lines or one document.

    A document is an array of objects, an object of objects, whose keys become the column ``id``,
    or an object with one such array in it.
    """
    with plain.open("rb") as handle:
        begin = 3 if handle.read(3) == codecs.BOM_UTF8 else 0
        handle.seek(begin)
        is_document = _is_document(handle, wanted)
        handle.seek(begin)
        if is_document:
            elements = _elements_of(handle, path, rejects, wanted)
            yield with_names(*_checked(elements, path, rejects, wanted))
            return
        first = 1
        names: Names = {}
        while lines := handle.readlines(_CHUNK_BYTES):
            numbered = {n: line for n, line in enumerate(lines, first) if not line.isspace()}
            first += len(lines)
            if numbered:
                frame, found = _chunk(numbered, path, rejects, wanted)
                names |= found  # later records may lack a key
                if names:
                    yield with_names(frame, names)


def _is_document(handle: IO[bytes], wanted: Wanted | None) -> bool:
    """Tell one document from one record a line, by the first two lines that are not blank."""
    lines = (line.strip() for line in iter(lambda: handle.readline(MAX_LINE), b""))
    first, second = [*islice(filter(None, lines), 2), b"", b""][:2]
    value = _record(first)
    if not first:
        return False
    if value is None:
        return not second or first in {b"{", b"["} or (first[-1:] != b"}" and not _parsed(second))
    if isinstance(value, dict):
        return not second and (bool(_tables_in(value, wanted)) or _is_keyed(value))
    return not second and isinstance(value, list)


def _null(_: str) -> None:
    return None


def _parsed(text: bytes) -> Any:
    """Return a JSON value, with NaN and infinity as null; None if it is none."""
    try:
        return read_json(text, constant=_null)
    except ValueError:
        return None


def _is_keyed(document: Table) -> bool:
    return bool(document) and all(isinstance(inner, dict) for inner in document.values())


def _tables_in(document: Table, wanted: Wanted | None) -> dict[str, list[Any]]:
    """Return the arrays of objects in an object that is no record itself."""
    if wanted and any(wanted(key) and isinstance(document[key], str | int) for key in document):
        return {}
    found = {
        key: inner
        for key, inner in document.items()
        if isinstance(inner, list) and inner and isinstance(inner[0], dict)
    }
    if not found and len(document) == 1 and _is_keyed(document):
        return _tables_in(next(iter(document.values())), wanted)
    return found


def _elements_of(
    handle: IO[bytes], path: Path, rejects: Rejects, wanted: Wanted | None
) -> Iterator[_Element]:
    try:
        document: Any = read_json(handle.read(), constant=_null)
    except ValueError as error:
        raise DataError(f"is not JSON ({brief(error)})", path=path) from error
    if isinstance(document, dict):
        document = _rows_of(cast("Table", document), path, rejects, wanted)
    if not isinstance(document, list):
        raise DataError("is neither an array nor an object", path=path)
    for number, value in enumerate(document, 1):
        yield _Element(number, value, ascii(value)[:200])


def _rows_of(document: Table, path: Path, rejects: Rejects, wanted: Wanted | None) -> list[Any]:
    tables = _tables_in(document, wanted)
    if len(tables) > 1:
        raise DataError(f"holds tables under {', '.join(tables)}; keep one of them", path=path)
    for key, rows in tables.items():
        rejects.notice(f"{path.name}: the rows are those under '{key}'")
        return rows
    if not _is_keyed(document):
        return [document]
    return [{"id": key, **inner} for key, inner in document.items()]


def _chunk(
    lines: dict[int, bytes], path: Path, rejects: Rejects, wanted: Wanted | None
) -> tuple[pl.DataFrame, Names]:
    """Return the records of some lines, and the names of their keys."""
    block = b"".join(lines.values())
    keys = dict.fromkeys(key.decode("utf-8", "replace") for key in _KEY.findall(block))
    used = [key for key in keys if wanted is None or wanted(key)] or ["id"]
    try:
        if b"\\ud" in block.lower():
            raise pl.exceptions.ComputeError("surrogate escapes need the careful reader")
        frame = pl.read_ndjson(io.BytesIO(block), schema=dict.fromkeys(used, pl.String))
        frame = frame.with_columns(pl.Series(LINE, list(lines), pl.Int64))
    except pl.exceptions.PolarsError:
        elements = (
            _Element(number, _record(line), line[:200].decode("utf-8", "backslashreplace"))
            for number, line in lines.items()
        )
        return _checked(elements, path, rejects, wanted)
    names: Names = {}
    for line in islice(lines.values(), _N_SHOWN):
        names |= dict.fromkeys(_record(line) or ())
    nested = {name for name in used if frame[name].null_count() == frame.height} - names.keys()
    return frame, names | dict.fromkeys(name for name in used if name not in nested)


def _checked(
    elements: Iterable[_Element], path: Path, rejects: Rejects, wanted: Wanted | None
) -> tuple[pl.DataFrame, Names]:
    """Return the elements that are records, and the names of their keys."""
    good: dict[int, Table] = {}
    for number, value, shown in elements:
        if isinstance(value, dict) and _encodes(value):
            good[number] = cast("Table", value)
        else:
            rejects.add([BadRow(path, number, "(line)", "one JSON object in UTF-8", shown)])
    keys = dict.fromkeys(name for record in good.values() for name in record)
    used = [name for name in keys if wanted is None or wanted(name)]
    shown = dict.fromkeys(name for record in islice(good.values(), _N_SHOWN) for name in record)
    names = {name: None for name in keys if name in shown or wanted is None or wanted(name)}
    columns = {name: [_as_text(record.get(name)) for record in good.values()] for name in used}
    schema = {**dict.fromkeys(used, pl.String), LINE: pl.Int64}
    return pl.DataFrame({**columns, LINE: list(good)}, schema), names


def _record(line: bytes) -> Any:
    """Read a line as JSON, or as the Python literal of the 2014 Amazon files; else None."""
    value = _parsed(line)
    if value is not None or line.lstrip()[:1] != b"{":
        return value
    try:
        return _parsed(json.dumps(ast.literal_eval(line.decode("utf-8").strip())).encode())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _encodes(record: Any) -> bool:
    """Tell if all text of a record is valid Unicode (no unpaired surrogates)."""
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return False
    return True


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
