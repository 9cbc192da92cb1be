"""Files as plain bytes and numbered lines.

Readers pass rows on in two shapes: a chunk is a frame of text columns under the file's own names,
and `LINE`; a `FileRow` is one row by itself.
"""

from __future__ import annotations

import gzip
import shutil
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rag_rec.core import DataError, ScratchFolder

CHUNK_ROWS = 50_000
MAX_LINE = 32 << 20
TOO_LONG = f"a line of more than {MAX_LINE >> 20} MiB"
BLANK = "is a blank line"

LINE = "_line"
"""Column of a chunk with the line of each row, counted from 1 with the header; for Parquet and
JSON documents the number of the row. It stays until the tables are checked against each other."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file, for readers that take their rows one by one.

    Attributes:
        number: Its line, counted from 1 with the header; for Parquet its row from 1.
        fields: Column or key to value: text for CSV, any JSON for JSON lines.
        problem: Why there are no fields, or None.
    """

    number: int
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def brief(error: BaseException) -> str:
    """Return an exception's message as one short line."""
    return " ".join(str(error).split())[:160]


def ending(path: Path) -> str:
    """Return the file's last suffix, lower case, without the dot."""
    return path.suffix.lower().lstrip(".")


@contextmanager
def plain_file(path: Path) -> Generator[Path]:
    """Give the file itself, or an unpacked copy that is removed at the end.

    Raises:
        DataError: If there is no such file, or it cannot be unpacked.
    """
    if not path.is_file():
        raise DataError("there is no such file", path=path)
    if ending(path) not in {"gz", "zip"}:
        yield path
        return
    with ScratchFolder("unpacked") as folder:
        yield _unpacked(path, folder)


def _unpacked(path: Path, folder: Path) -> Path:
    try:
        if ending(path) == "gz":
            with gzip.open(path, "rb") as packed:
                return _copy(packed, folder / path.stem)
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise DataError(f"a zip with one file is needed, this has {len(names)}", path=path)
            with archive.open(names[0]) as packed:
                return _copy(packed, folder / Path(names[0]).name)
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"cannot be unpacked ({error})", path=path) from error


def _copy(packed: IO[bytes] | gzip.GzipFile, target: Path) -> Path:
    with target.open("wb") as out:
        shutil.copyfileobj(packed, out, 1 << 20)
    return target


def skip_mark(handle: IO[bytes], path: Path) -> None:
    """Go past a UTF-8 byte order mark at the beginning of a file.

    Raises:
        DataError: If the mark is that of UTF-16.
    """
    head = handle.read(3)
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise DataError("is UTF-16; save it as UTF-8", path=path)
    handle.seek(3 if head == b"\xef\xbb\xbf" else 0)


def numbered_lines(handle: IO[bytes], path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines of a file with their numbers; None for one longer than `MAX_LINE`."""
    skip_mark(handle, path)
    number = 0
    while line := handle.readline(MAX_LINE):
        number += 1
        if len(line) < MAX_LINE or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := handle.readline(MAX_LINE)) and not rest.endswith(b"\n"):
            pass
        yield number, None
