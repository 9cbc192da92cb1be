"""The end of a tuning on the command line: its record, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from rag_rec.adaptation import TuningRecord
from rag_rec.cli.console import note, write_json

_NOTHING_GAINED = 3


def show_ended(
    record: TuningRecord, show: Callable[[], None], *, out: Path, has_ended: bool, as_json: bool
) -> None:
    """Write the record, and exit with 3 where nothing was gained.

    Args:
        record: The record.
        show: Says the rest of it to a person.
        out: The folder of the run.
        has_ended: The run had ended before this command.
        as_json: Write the record to standard output, too.
    """
    if as_json:
        write_json(record.model_dump_json())
    if has_ended:
        note(f"{out} is finished; nothing was left to do")
    for why, count in record.left_out.items():
        if count:
            note(f"left out: {count:,} {why}")
    show()
    if not record.gained:
        raise typer.Exit(_NOTHING_GAINED)
