"""``sequences``: lines of ``user item item ...`` in time order; the catalog as in ``auto``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from rag_rec.core import ConfigError
from rag_rec.data.formats.auto import read_auto
from rag_rec.data.formats.base import Format, Sources, TableRows, Tables, as_log
from rag_rec.data.readers.files import MAX_LINE, numbered_lines, plain_file
from rag_rec.data.rejects import BadRow, Rejects
from rag_rec.data.report import TableReport
from rag_rec.data.schema import LINE


def _read(sources: Sources, rejects: Rejects) -> Tables:
    files = dict(sources.files)
    path = files.pop("interactions", None)
    if path is None:
        raise ConfigError("the sequences format needs its file: --interactions FILE")
    tables = read_auto(replace(sources, files=files), rejects)
    return replace(tables, interactions=TableRows([_log(path, rejects)], path))


SEQUENCES = Format("sequences", _read)


def _log(path: Path, rejects: Rejects) -> pl.DataFrame:
    schema = {"user_id": pl.String, "item_id": pl.List(pl.String), LINE: pl.Int64}
    frame = pl.DataFrame(list(_sequences(path, rejects)), schema=schema, orient="row")
    log = as_log(frame.explode("item_id"))
    rejects.reports.append(TableReport(path, "interactions", log.height))
    return log


def _sequences(path: Path, rejects: Rejects) -> Iterator[tuple[str, list[str], int]]:
    """Yield user, items and line number of each line that is not blank."""
    with plain_file(path) as plain, plain.open("rb") as handle:
        for number, line in numbered_lines(handle, path):
            fields = _fields(line)
            if isinstance(fields, str):
                found = (line or b"").decode("utf-8", "backslashreplace").strip()
                rejects.add([BadRow(path, number, "(line)", fields, found)])
            elif fields:
                yield fields[0], fields[1:], number


def _fields(line: bytes | None) -> list[str] | str:
    """Return the fields of a line, or the description of a usable one."""
    if line is None:
        return f"a line of at most {MAX_LINE >> 20} MiB"
    try:
        fields = line.decode("utf-8").split()
    except UnicodeDecodeError:
        return "UTF-8 text"
    return "a user and at least one item" if len(fields) == 1 else fields
