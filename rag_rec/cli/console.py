"""The terminal: results on stdout, messages and progress on stderr; no text acts on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table

from rag_rec.core import visible, visible_json


class _Visible:
    """A renderable whose texts hold nothing that a terminal obeys."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class _Filter(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Visible(inner) for inner in renderables]


def terminal(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that obeys only our own marks, whatever stands in the texts it prints."""
    console = Console(stderr=stderr, highlight=not stderr, width=width)
    console.push_render_hook(_Filter())
    return console


def write_json(document: str) -> None:
    """Write a JSON document to stdout, on a line of its own."""
    sys.stdout.write(visible_json(document) + "\n")


_err = terminal(stderr=True)


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
