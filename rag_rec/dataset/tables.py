"""Files as chunks of text columns: CSV, TSV, JSON lines, JSON, Parquet, plain or compressed.

Every reader yields frames whose columns are all text, at most `CHUNK_ROWS` rows at a time, so
that a table is validated in one place whatever it was stored in. The fast path is columnar; only
a chunk that does not parse is walked line by line, to say which line is at fault.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from rag_rec.dataset.rejects import BadRow, Rejects
from rag_rec.errors import DataError

CHUNK_ROWS = 50_000
_CHUNK_BYTES = 16 << 20

Lines = Callable[[Sequence[int]], list[int]]
Wanted = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        frame: Text columns under the file's own names.
        path: The file.
        lines: Line numbers (from 1) of row numbers of this chunk; may re-read the file.
    """

    frame: pl.DataFrame
    path: Path
    lines: Lines


def read_chunks(path: Path, *, rejects: Rejects, wanted: Wanted | None = None) -> Iterator[Chunk]:
    """Chunks of one file, by its ending.

    Args:
        path: ``.csv``, ``.tsv``, ``.inter``/``.item``/``.user`` (tab separated), ``.jsonl``,
            ``.json`` (lines, an array or an object of objects), ``.parquet``; may end in ``.gz``
            or be the only member of a ``.zip``.
        wanted: Whether a key of JSON lines is worth reading; None for all of them.
        rejects: Where bad lines go.

    Raises:
        DataError: If the file is missing, of unknown kind, or has a bad line and rejects stop.
    """
    with plain_file(path) as plain:
        match _ending(plain):
            case "csv" | "txt":
                yield from _csv(plain, path, ",", rejects)
            case "tsv" | "inter" | "item" | "user":
                yield from _csv(plain, path, "\t", rejects)
            case "jsonl" | "ndjson" | "json":
                with plain.open("rb") as handle:
                    if _ending(plain) == "json" and _is_document(handle):
                        yield from _json_document(handle, path)
                    else:
                        yield from _json_lines(handle, path, wanted, rejects)
            case "parquet" | "pq":
                yield from _parquet(plain, path)
            case other:
                raise DataError(
                    f"cannot read files ending in '.{other}'; "
                    "use .csv, .tsv, .jsonl, .json or .parquet, plain, .gz or .zip",
                    path=path,
                )


def _ending(path: Path) -> str:
    return path.suffix.lower().lstrip(".")


@contextmanager
def plain_file(path: Path) -> Generator[Path]:
    """The file itself, or an unpacked copy in a temporary folder that is removed at the end."""
    if not path.is_file():
        raise DataError("there is no such file", path=path)
    if _ending(path) not in {"gz", "zip"}:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="rag-rec-") as folder:
        try:
            yield _unpack(path, Path(folder))
        except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"cannot be unpacked ({error})", path=path) from error


def _unpack(path: Path, folder: Path) -> Path:
    if _ending(path) == "gz":
        target = folder / path.stem
        with gzip.open(path, "rb") as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
        return target
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/")]
        if len(names) != 1:
            raise DataError(f"a zip with one file is needed, this has {len(names)}", path=path)
        target = folder / Path(names[0]).name
        with archive.open(names[0]) as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
    return target


# --- CSV -----------------------------------------------------------------------------------


def _csv(plain: Path, path: Path, separator: str, rejects: Rejects) -> Iterator[Chunk]:
    quote = None if separator == "\t" else '"'
    start = 0
    try:
        scan = pl.scan_csv(
            plain, separator=separator, quote_char=quote, infer_schema=False, encoding="utf8"
        )
        for batch in scan.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
            frame = batch.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines
            if frame.height:
                yield Chunk(frame, path, _csv_lines(plain, separator, quote, start))
                start += frame.height
    except pl.exceptions.NoDataError:
        raise DataError("the file is empty; a header line is needed", path=path) from None
    except pl.exceptions.PolarsError as error:
        yield from _csv_by_line(plain, path, separator, quote, start, rejects, error)


def _records(plain: Path, separator: str, quote: str | None) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each record, header first; decodes leniently."""
    csv.field_size_limit(1 << 30)
    quoting = csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL
    with plain.open(newline="", encoding="utf-8-sig", errors="replace") as handle:
        reader = csv.reader(handle, delimiter=separator, quoting=quoting)
        begin = 1
        for fields in reader:
            if any(fields):
                yield begin, fields
            begin = reader.line_num + 1


def _csv_lines(plain: Path, separator: str, quote: str | None, start: int) -> Lines:
    def lines(rows: Sequence[int]) -> list[int]:
        wanted = {row + start + 1 for row in rows}
        found = {
            n: line for n, (line, _) in enumerate(_records(plain, separator, quote)) if n in wanted
        }
        return [found[row + start + 1] for row in rows]

    return lines


def _csv_by_line(
    plain: Path,
    path: Path,
    separator: str,
    quote: str | None,
    done: int,
    rejects: Rejects,
    cause: Exception,
) -> Iterator[Chunk]:
    """The rows after ``done``, one by one, because the columnar reader gave up."""
    records = _records(plain, separator, quote)
    _, header = next(records, (1, []))
    good: list[list[str]] = []
    numbers: list[int] = []
    n_bad = 0
    for n, (line, fields) in enumerate(records):
        if n < done:
            continue
        problem = _csv_problem(fields, header)
        if problem:
            n_bad += 1
            rejects.add([BadRow(path, line, "(row)", problem, separator.join(fields))])
        else:
            good.append(fields)
            numbers.append(line)
    if not n_bad:
        raise DataError(f"cannot be read as CSV ({_brief(cause)})", path=path) from cause
    if good:
        frame = pl.DataFrame(good, schema=dict.fromkeys(header, pl.String), orient="row")
        yield Chunk(frame, path, lambda rows: [numbers[row] for row in rows])


def _csv_problem(fields: list[str], header: list[str]) -> str | None:
    if len(fields) != len(header):
        return f"{len(header)} fields as in the header"
    if any("�" in field for field in fields):
        return "UTF-8 text"
    return None


# --- JSON ----------------------------------------------------------------------------------


def _is_document(handle: IO[bytes]) -> bool:
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


def _json_document(handle: IO[bytes], path: Path) -> Iterator[Chunk]:
    """An array of objects, or an object of objects whose keys become the column ``id``."""
    try:
        document: Any = json.load(handle)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON ({_brief(error)})", path=path) from error
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


def _json_lines(
    handle: IO[bytes], path: Path, wanted: Wanted | None, rejects: Rejects
) -> Iterator[Chunk]:
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


# --- Parquet -------------------------------------------------------------------------------


def _parquet(plain: Path, path: Path) -> Iterator[Chunk]:
    try:
        scan = pl.scan_parquet(plain)
        start = 0
        for frame in scan.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
            begin = start + 1
            yield Chunk(_all_text(frame), path, lambda rows, b=begin: [row + b for row in rows])
            start += frame.height
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot be read as Parquet ({_brief(error)})", path=path) from error


def _all_text(frame: pl.DataFrame) -> pl.DataFrame:
    def text(name: str, dtype: pl.DataType) -> pl.Expr:
        if isinstance(dtype, pl.List):
            struct = pl.struct(pl.col(name)).struct.json_encode()
            return struct.str.replace(r"^\{.*?:", "").str.replace(r"\}$", "").alias(name)
        if isinstance(dtype, pl.Datetime):
            return pl.col(name).dt.epoch("s").cast(pl.String)
        return pl.col(name).cast(pl.String)

    return frame.select(text(name, dtype) for name, dtype in frame.schema.items())


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
