"""JSON lines and JSON documents: in chunks of text columns, and lines one by one."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import polars as pl

from rag_rec.core import DataError, parse_json
from rag_rec.data.readers.files import (
    BLANK,
    LINE,
    TOO_LONG,
    FileRow,
    brief,
    ending,
    numbered_lines,
    skip_mark,
)
from rag_rec.data.rejects import BadRow, Rejects

_CHUNK_BYTES = 16 << 20
_KEY = re.compile(rb'["\']([^"\'\\]{1,200})["\']\s*:')
"""All that looks like a key, nested keys included."""

Wanted = Callable[[str], bool]
"""True for a key that is worth reading."""


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
    """Yield the objects of a file in chunks, whether it holds lines or one document."""
    with plain.open("rb") as handle:
        if ending(plain) == "json" and _is_document(handle):
            records = _records_of(handle, path)
            names = dict.fromkeys(name for record in records for name in record)
            yield _text_frame(dict(enumerate(records, 1)), list(names))
            return
        skip_mark(handle, path)
        first = 1
        while lines := handle.readlines(_CHUNK_BYTES):
            numbered = {n: line for n, line in enumerate(lines, first) if not line.isspace()}
            first += len(lines)
            if numbered:
                yield _chunk(numbered, path, rejects, wanted)


def _is_document(handle: IO[bytes]) -> bool:
    """Tell one array or object from one record a line."""
    head = handle.read(1 << 16)
    handle.seek(0)
    if head.lstrip()[:1] == b"[":
        return True
    first, _, rest = head.partition(b"\n")
    try:
        value = json.loads(first)
    except ValueError:
        return first.strip() in {b"{", b""} or not first.strip().endswith(b"}")
    alone = not rest.strip() and isinstance(value, dict)
    return alone and bool(value) and all(isinstance(inner, dict) for inner in value.values())


def _records_of(handle: IO[bytes], path: Path) -> list[dict[str, Any]]:
    """Read an array of objects, or an object of objects whose keys become the column ``id``."""
    try:
        document: Any = json.load(handle)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON ({brief(error)})", path=path) from error
    if isinstance(document, dict):
        table = cast("dict[str, Any]", document)
        document = [
            {"id": key, **inner} if isinstance(inner, dict) else inner
            for key, inner in table.items()
        ]
    if not all(isinstance(record, dict) and _encodes(record) for record in document):
        raise DataError("every element must be an object of UTF-8 text", path=path)
    return document


def _chunk(
    lines: dict[int, bytes], path: Path, rejects: Rejects, wanted: Wanted | None
) -> pl.DataFrame:
    block = b"".join(lines.values())
    keys = dict.fromkeys(key.decode("utf-8", "replace") for key in _KEY.findall(block))
    names = [name for name in keys if wanted is None or wanted(name)] or ["id"]
    try:
        if b"\\ud" in block.lower():
            raise pl.exceptions.ComputeError("surrogate escapes need the careful reader")
        frame = pl.read_ndjson(io.BytesIO(block), schema=dict.fromkeys(names, pl.String))
        return _with_lines(frame, list(lines))
    except pl.exceptions.PolarsError:
        return _text_frame(_records(lines, path, rejects), names)


def _records(lines: dict[int, bytes], path: Path, rejects: Rejects) -> dict[int, dict[str, Any]]:
    """Read line by line, to find out which line is at fault."""
    good: dict[int, dict[str, Any]] = {}
    for number, line in lines.items():
        record = _record(line)
        if isinstance(record, dict) and _encodes(record):
            good[number] = record
        else:
            shown = line[:200].decode("utf-8", "backslashreplace")
            rejects.add([BadRow(path, number, "(line)", "one JSON object in UTF-8", shown)])
    return good


def _text_frame(records: dict[int, dict[str, Any]], names: list[str]) -> pl.DataFrame:
    columns = {name: [_as_text(record.get(name)) for record in records.values()] for name in names}
    return _with_lines(pl.DataFrame(columns, dict.fromkeys(names, pl.String)), list(records))


def _with_lines(frame: pl.DataFrame, lines: list[int]) -> pl.DataFrame:
    """Add `LINE`, and drop columns without a value: keys that occur only in nested objects."""
    kept = [name for name in frame.columns if frame[name].null_count() < frame.height]
    return frame.with_columns(pl.Series(LINE, lines, pl.Int64)).select(*kept, LINE)


def _record(line: bytes) -> Any:
    """Read a line as JSON, or as the Python literal of the 2014 Amazon files; else None."""
    try:
        return json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(line.decode("utf-8").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _encodes(record: Any) -> bool:
    """Tell if all text of a record is valid Unicode (no unpaired surrogates)."""
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, TypeError, RecursionError):
        return False
    return True


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
