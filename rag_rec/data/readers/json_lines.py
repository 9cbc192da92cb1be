"""JSON lines and JSON documents as chunks."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.chunk import Chunk, Lines, Wanted, brief
from rag_rec.data.rejects import BadRow, Rejects

_CHUNK_BYTES = 16 << 20


def is_document(handle: IO[bytes]) -> bool:
    """Whether a .json file is one array or object rather than one record a line."""
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


def read_document(handle: IO[bytes], path: Path) -> Iterator[Chunk]:
    """An array of objects, or an object of objects whose keys become the column ``id``."""
    try:
        document: Any = json.load(handle)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON ({brief(error)})", path=path) from error
    records = (
        [{"id": key, **value} for key, value in document.items() if isinstance(value, dict)]
        if isinstance(document, dict)
        else [value for value in document if isinstance(value, dict)]
    )
    if len(records) != len(document):
        raise DataError("every element must be an object", path=path)
    text = "\n".join(json.dumps(record) for record in records).encode()
    frame = pl.read_ndjson(io.BytesIO(text), schema=_keys(text, None))
    yield Chunk(frame, path, lambda rows: [row + 1 for row in rows])


def read_lines(
    handle: IO[bytes], path: Path, wanted: Wanted | None, rejects: Rejects
) -> Iterator[Chunk]:
    """Chunks of JSON lines, their values as text."""
    first_line = 1
    for block in _blocks(handle):
        schema = _keys(block, wanted)
        try:
            if b"\\ud" in block.lower():
                raise pl.exceptions.ComputeError("surrogate escapes need the careful reader")
            frame = pl.read_ndjson(io.BytesIO(block), schema=schema)
            yield Chunk(_without_empty(frame), path, _block_lines(block, first_line))
        except pl.exceptions.PolarsError:
            yield from _json_by_line(block, path, first_line, schema, rejects)
        first_line += block.count(b"\n")


def _blocks(handle: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, about `_CHUNK_BYTES` at a time, without a byte order mark."""
    rest = handle.read(3)
    rest = b"" if rest == b"\xef\xbb\xbf" else rest
    while True:
        data = handle.read(_CHUNK_BYTES)
        block = rest + data
        if not data:
            if block.strip():
                yield block
            return
        cut = block.rfind(b"\n") + 1
        if cut and block[:cut].strip():
            yield block[:cut]
        rest = block[cut:]


def _block_lines(block: bytes, first_line: int) -> Lines:
    def lines(rows: Sequence[int]) -> list[int]:
        numbers = [n for n, line in enumerate(block.split(b"\n"), first_line) if line.strip()]
        return [numbers[row] for row in rows]

    return lines


_KEY = re.compile(rb'["\']([^"\'\\]{1,200})["\']\s*:')


def _keys(block: bytes, wanted: Wanted | None) -> dict[str, pl.DataType]:
    """Everything in the block that looks like a key, nested keys included, all as text."""
    found = dict.fromkeys(key.decode("utf-8", "replace") for key in _KEY.findall(block))
    names = [name for name in found if wanted is None or wanted(name)]
    return dict.fromkeys(names or ["id"], pl.String())


def _without_empty(frame: pl.DataFrame) -> pl.DataFrame:
    """Drops columns without a value: keys that only occur inside nested objects."""
    return frame.select(name for name in frame.columns if frame[name].null_count() < frame.height)


def _record(line: bytes) -> Any:
    """A line as JSON, or as the Python literal that the 2014 Amazon files hold; else None."""
    try:
        return json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(line.decode("utf-8").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _json_by_line(
    block: bytes, path: Path, first_line: int, schema: dict[str, pl.DataType], rejects: Rejects
) -> Iterator[Chunk]:
    good: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, line in enumerate(block.split(b"\n"), first_line):
        if not line.strip():
            continue
        record = _record(line)
        if isinstance(record, dict) and _encodes(record):
            good.append({name: _as_text(record.get(name)) for name in schema})
            numbers.append(number)
        else:
            shown = line[:200].decode("utf-8", "backslashreplace")
            rejects.add([BadRow(path, number, "(line)", "one JSON object in UTF-8", shown)])
    if good:
        frame = pl.DataFrame(good, schema=schema, orient="row")
        yield Chunk(_without_empty(frame), path, lambda rows: [numbers[row] for row in rows])


def _encodes(record: Any) -> bool:
    """Whether all text of a record is valid Unicode (no unpaired surrogates)."""
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, TypeError, RecursionError):
        return False
    return True


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
