"""Options that name the files of a data set, and the reading of those files."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rag_rec.cli.console import note, note_table
from rag_rec.cli.inspect import by_table, table_of_columns
from rag_rec.data import FORMATS, Dataset
from rag_rec.index import LiveLog, current_version

Formats = StrEnum("Formats", list(FORMATS))
OnErrors = StrEnum("OnErrors", ["stop", "skip"])

Items = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Catalog: CSV, JSON lines or Parquet.")
]
Reviews = Annotated[Path | None, typer.Option(metavar="FILE", help="Reviews.")]
Interactions = Annotated[Path | None, typer.Option(metavar="FILE", help="Interaction log.")]
Format = Annotated[Formats, typer.Option(help="auto knows usual column names.")]
OnError = Annotated[OnErrors, typer.Option(help="Bad rows: stop, or skip them into a side file.")]
Rejects = Annotated[Path, typer.Option(metavar="FILE", help="Where skipped rows go.")]
MaxRejected = Annotated[
    float,
    typer.Option(min=0, max=1, help="Largest share of a file's rows that may be skipped."),
]


def reading(
    format: str,  # noqa: A002
    columns: Iterable[str] | None,
    read: Iterable[str] | None,
    on_error: OnErrors,
    rejects: Path,
    max_rejected: float,
) -> dict[str, Any]:
    """Return arguments of `Dataset.load` that say how files are read, from the options."""
    return {
        "format": format,
        "columns": by_table("--columns", columns or ()),
        "forms": by_table("--read", read or ()),
        "on_error": on_error.value,
        "rejects_file": rejects,
        "max_rejected": max_rejected,
    }


def note_loaded(data: Dataset, rejects: Path, *, tables: bool = True) -> None:
    """Show how the columns of the files were read, and what was remarked and set aside."""
    for report in data.reports if tables else ():
        note_table(table_of_columns(report))
    for line in data.notices:
        note(line)
    if data.rejected:
        note(f"{data.rejected} rows set aside in {rejects}")


def note_live_changes(index: Path, what: str) -> None:
    """Say how many live changes the current version does not hold, if there are some.

    Args:
        index: The index.
        what: What they are not in, or wait for.
    """
    _, manifest = current_version(index)
    log = LiveLog(index)
    n = log.count_since(manifest.live_seq)
    log.close()
    if n:
        note(f"{n:,} live changes {what}; rag-rec index --update --out {index} puts them in")
