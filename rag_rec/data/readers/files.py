"""Files as plain bytes and numbered lines.

Readers pass rows on in two shapes: a chunk is a frame of text columns under the file's own names,
and `LINE`; a `FileRow` is one row by itself.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import polars as pl

from rag_rec.core import DataError, ScratchFolder

CHUNK_ROWS = 50_000
MAX_LINE = 32 << 20
TOO_LONG = f"a line of more than {MAX_LINE >> 20} MiB"
BLANK = "is a blank line"

LINE = "\x00line"
"""Column of a chunk with the line of each row, counted from 1 with the header; for Parquet and
JSON documents the number of the row. It stays until the tables are checked against each other.
No file has a column of that name; if one does, it is left out."""

Wanted = Callable[[str], bool]
"""True for a column or key of a file whose values are used."""

FREELY_UNPACKED, MOST_TIMES = 1 << 30, 200
"""Bytes that every packed file may unpack to, and times its size beyond them. Logs and catalogs
pack to a tenth or so; a file that is made to fill the disk packs to a thousandth."""

_MAGIC = {b"\x1f\x8b": "gz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zst"}
_DAMAGE = (zlib.error, zipfile.BadZipFile, EOFError, OSError, RuntimeError)
"""Errors of unpacking; RuntimeError stands for a password or an unknown method."""


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
    return " ".join(str(error).split())[:160] or type(error).__name__


def ending(path: Path) -> str:
    """Return the file's last suffix, lower case, without the dot."""
    return path.suffix.lower().lstrip(".")


@contextmanager
def plain_file(path: Path) -> Generator[Path]:
    """Give the file itself, or an unpacked copy that is removed at the end.

    A packed file is known by its first bytes, whatever its name.

    Raises:
        DataError: If there is no such file, or it cannot be unpacked.
    """
    if not path.is_file():
        raise DataError("is a folder" if path.is_dir() else "there is no such file", path=path)
    with path.open("rb") as handle:
        kind = _MAGIC.get(start := handle.read(4)) or _MAGIC.get(start[:2])
    if kind is None and ending(path) not in _MAGIC.values():
        yield path
        return
    with ScratchFolder("unpacked") as folder:
        try:
            plain = _unpacked(path, kind, folder)
        except _DAMAGE as error:
            raise DataError(f"cannot be unpacked ({brief(error)})", path=path) from error
        yield plain


def _unpacked(path: Path, kind: str | None, folder: Path) -> Path:
    name = path.stem if ending(path) in _MAGIC.values() else path.name
    if kind == "gz":
        with gzip.open(path, "rb") as packed:
            return _copy(packed, folder / name, path)
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            member = _only_member(archive, path)
            with archive.open(member) as packed:
                return _copy(packed, folder / Path(member).name, path)
    known = "; use gzip or zip" if kind else f"; it is no .{ending(path)} file, name it as it is"
    raise DataError(f"cannot be unpacked{known}", path=path)


def _only_member(archive: zipfile.ZipFile, path: Path) -> str:
    """Return the name of the one file in an archive, without what file managers add."""
    names = [Path(name) for name in archive.namelist() if not name.endswith("/")]
    names = [it for it in names if "__MACOSX" not in it.parts and it.name[0] != "."]
    if Path("[Content_Types].xml") in names:
        raise DataError("is an office document; save it as CSV", path=path)
    if len(names) != 1:
        raise DataError(
            f"a zip with one file is needed, this has {len(names)}: "
            f"{', '.join(map(str, names))[:200]}; unpack it and name one of them",
            path=path,
        )
    return names[0].as_posix()


def _copy(packed: IO[bytes] | gzip.GzipFile, target: Path, source: Path) -> Path:
    most = max(FREELY_UNPACKED, MOST_TIMES * source.stat().st_size)
    n_bytes = 0
    with target.open("wb") as out:
        while block := packed.read(1 << 20):
            n_bytes += len(block)
            if n_bytes > most:
                raise DataError(
                    f"unpacks to more than {most >> 20:,} MiB, {MOST_TIMES} times its size, as no "
                    "table does; unpack it yourself if it is one",
                    path=source,
                )
            out.write(block)
    return target


def parts_of(path: Path) -> list[Path]:
    """Return the files of a folder that Spark or Hive wrote, in order; or the file itself.

    Raises:
        DataError: If the folder holds none, or files in folders by value (``key=value``).
    """
    if not path.is_dir():
        return [path]
    found = sorted(it for it in path.rglob("*") if it.is_file())
    parts = [it for it in found if not any(n[0] in "._" for n in it.relative_to(path).parts)]
    if nested := next((it for it in parts if it.parent != path), None):
        raise DataError(
            f"holds folders, such as {nested.parent.name}; write its files into one folder",
            path=path,
        )
    if not parts:
        raise DataError("the folder holds no files to read", path=path)
    return parts


def numbered_lines(handle: IO[bytes], path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines of a file with their numbers; None for one longer than `MAX_LINE`.

    Raises:
        DataError: If the file begins with the mark of UTF-16.
    """
    head = handle.read(3)
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise DataError("is UTF-16; save it as UTF-8", path=path)
    handle.seek(3 if head == b"\xef\xbb\xbf" else 0)
    number = 0
    while line := handle.readline(MAX_LINE):
        number += 1
        if len(line) < MAX_LINE or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := handle.readline(MAX_LINE)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def with_names(chunk: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Return the named columns of a chunk and `LINE`; those that it lacks are nulls."""
    absent = pl.repeat(None, chunk.height, dtype=pl.String, eager=True)
    columns = {name: chunk.get_column(name, default=absent) for name in names}
    return pl.DataFrame({**columns, LINE: chunk[LINE]})
