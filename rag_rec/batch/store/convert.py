"""Conversion of the output: Parquet for programs, CSV that is safe in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, cast

import polars as pl
from polars.io.plugins import register_io_source
from pydantic import BaseModel, Field, ValidationError

from rag_rec.core import (
    ConfigError,
    DataError,
    StorageError,
    Usage,
    first_problem,
    make_private,
    open_private,
    read_json,
    safe_cell,
)

_PART_ROWS = 5_000
_SLOT = {
    "rank": pl.Int64(),
    "item_id": pl.String(),
    "title": pl.String(),
    "score": pl.Float64(),
    "reason": pl.String(),
    "reason_status": pl.String(),
    "origin": pl.String(),
    "sources": pl.List(pl.Struct({"source": pl.String(), "rank": pl.Int64()})),
}
_RECORD = {
    "schema_version": pl.Int64(),
    "custom_id": pl.String(),
    "user_id": pl.String(),
    "outcome": pl.String(),
    "items": pl.List(pl.Struct(_SLOT)),
    "error": pl.String(),
    "run_id": pl.String(),
}
_USAGE = {
    "calls": pl.Int64(),
    "prompt_tokens": pl.Int64(),
    "completion_tokens": pl.Int64(),
    "wall_s": pl.Float64(),
    "cached": pl.Int64(),
    "estimated": pl.Int64(),
}
_COLUMNS = (
    "custom_id",
    "user_id",
    "rank",
    "item_id",
    "title",
    "reason",
    "origin",
    "score",
    "outcome",
)


_Short = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _WrittenSlot(BaseModel):
    """The part of a slot that is written."""

    rank: _Short
    item_id: str
    title: str
    score: float
    reason: str
    reason_status: str
    origin: str
    sources: dict[str, _Short]


class _Row(BaseModel):
    """The part of a record that is written."""

    custom_id: str
    user_id: str | None
    outcome: str
    items: list[_WrittenSlot]
    error: str | None = None
    run_id: str | None = None
    schema_version: _Short | None = None
    usage: Usage | None = None


def convert(records: str | Path, out: str | Path) -> int:
    """Write the lists of an output file as ``.parquet`` or ``.csv``, by the ending of ``out``.

    Parquet has a row for each user, CSV a row for each slot; an apostrophe stands before everything
    that a spreadsheet would take for a formula, also where it cuts the text at another separator.
    Both are read and written in parts.

    Returns:
        Number of users.

    Raises:
        ConfigError: If ``out`` ends otherwise.
        DataError: If a line of the input is not a record.
        StorageError: If the output cannot be written.
    """
    records, out = Path(records), Path(out)
    if out.suffix.lower() not in {".parquet", ".csv"}:
        raise ConfigError(f"{out} must end in .parquet or .csv")
    if not records.is_file():
        raise DataError("there is no such file", path=records)
    try:
        return (_to_csv if out.suffix.lower() == ".csv" else _to_parquet)(records, out)
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=out) from error


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.endswith(b"\n"):
                raise DataError("the run that writes it is not finished", path=path, row=number)
            try:
                record = read_json(line)
            except ValueError as error:
                raise DataError("is not a record of a batch run", path=path, row=number) from error
            try:
                _Row.model_validate(record)
            except ValidationError as error:
                problem = f"is not a record of a batch run ({first_problem(error)})"
                raise DataError(problem, path=path, row=number) from error
            yield cast("dict[str, Any]", record)


def _to_csv(records: Path, out: Path) -> int:
    n = 0
    with open_private(
        out, "w", newline="", encoding="utf-8-sig"
    ) as handle:  # spreadsheets want the mark
        writer = csv.writer(handle)
        writer.writerow(_COLUMNS)
        for record in _lines(records):
            n += 1
            for slot in record["items"]:
                cells = [record[c] if c in record else slot[c] for c in _COLUMNS]
                writer.writerow([safe_cell(c) if isinstance(c, str) else c for c in cells])
    return n


def _to_parquet(records: Path, out: Path) -> int:
    n = 0
    schema = {**_RECORD, "usage": pl.Struct(_USAGE)}

    def frames(*_: object) -> Iterator[pl.DataFrame]:
        nonlocal n
        waiting = _lines(records)
        while part := list(islice(waiting, _PART_ROWS)):
            n += len(part)
            yield pl.DataFrame([_row(record) for record in part], schema=schema, orient="row")

    fresh = out.with_name(f".{out.name}.new")
    try:
        make_private(fresh)
        register_io_source(frames, schema=pl.Schema(schema)).sink_parquet(fresh)
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)
    return n


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with its sources, whose names vary, as a list of pairs."""
    slots = [
        slot | {"sources": [{"source": s, "rank": rank} for s, rank in slot["sources"].items()]}
        for slot in record["items"]
    ]
    return {name: record.get(name) for name in (*_RECORD, "usage")} | {"items": slots}
