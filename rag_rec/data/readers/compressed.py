"""Plain files out of compressed ones."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rag_rec.core import DataError


def ending(path: Path) -> str:
    """The file's last suffix, lower case, without the dot."""
    return path.suffix.lower().lstrip(".")


@contextmanager
def plain_file(path: Path) -> Generator[Path]:
    """The file itself, or an unpacked copy in a temporary folder that is removed at the end."""
    if not path.is_file():
        raise DataError("there is no such file", path=path)
    if ending(path) not in {"gz", "zip"}:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="rag-rec-") as folder:
        try:
            yield _unpack(path, Path(folder))
        except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"cannot be unpacked ({error})", path=path) from error


def _unpack(path: Path, folder: Path) -> Path:
    if ending(path) == "gz":
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
