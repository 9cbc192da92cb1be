"""What a person sees on a terminal: progress on stderr, lists as tables."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
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

from rag_rec.types import RecommendationList

_err = Console(stderr=True, highlight=False)

_OUTCOMES = {
    "ok": "chosen by the model",
    "partial": "partly chosen by the model, filled from retrieval",
    "retrieval_only": "retrieval order, no model asked",
    "failed": "the model gave nothing usable: retrieval order",
}


def note(text: str) -> None:
    """A line for the person, on stderr."""
    _err.print(text, markup=False, soft_wrap=True)


def progress_bars() -> Progress:
    """Progress bars on stderr, where that is a terminal."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(
        TextColumn("{task.description}"), *columns, console=_err, disable=not _err.is_terminal
    )


@contextmanager
def steps_shown() -> Generator[Callable[[str, int, int], None]]:
    """Yields what is told of steps; each is a bar on a terminal, a line elsewhere."""
    with progress_bars() as progress:
        tasks: dict[str, TaskID] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
                if not _err.is_terminal:
                    note(what)
            progress.update(tasks[what], completed=done)

        yield step


def table_of(name: str, past: Sequence[str], result: RecommendationList) -> Table:
    """One user's list as a table."""
    caption = f"{_OUTCOMES[result.outcome]} · run {result.run_id}"
    if result.usage.calls:
        usage = result.usage
        caption += (
            f" · {usage.calls} calls, {usage.prompt_tokens} + {usage.completion_tokens} tokens, "
            f"{usage.wall_s:.1f} s"
        )
    if result.error:
        caption += f"\n{result.error}"
    title = f"{name}\nlately: {'; '.join(past)}" if past else name
    table = Table(
        title=escape(title), caption=escape(caption), title_justify="left", caption_justify="left"
    )
    table.add_column("#", justify="right")
    table.add_column("item", ratio=3)
    table.add_column("why", ratio=4)
    table.add_column("chosen by")
    for slot in result.items:
        why = escape(slot.reason) + (
            " [dim](from the data)[/]" if slot.reason_status == "evidence" else ""
        )
        title = f"{escape(slot.item.title or slot.item_id)}\n[dim]{escape(slot.item_id)}[/]"
        table.add_row(str(slot.rank), title, why, slot.origin)
    return table
