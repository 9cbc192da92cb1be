"""Messages and progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

_err = Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """Write a line for the person to stderr."""
    _err.print(text, markup=False, soft_wrap=True)


def note_table(table: Table) -> None:
    """Write a table for the person, on stderr."""
    _err.print(table)


def build_progress() -> Progress:
    """Return progress bars on stderr, drawn where that is a terminal."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(
        TextColumn("{task.description}"), *columns, console=_err, disable=not _err.is_terminal
    )


@contextmanager
def steps_shown() -> Generator[Callable[[str, int, int], None]]:
    """Yield the callback for steps; each step is a bar on a terminal, a line elsewhere."""
    with build_progress() as progress:
        tasks: dict[str, TaskID] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
                if not _err.is_terminal:
                    note(what)
            progress.update(tasks[what], completed=done)

        yield step
