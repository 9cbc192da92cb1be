"""Progress of a run, shown to a person or written for a program."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import IO, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rag_rec.core import visible

_EVERY_S = 10.0
_WINDOW_S = 60.0


@dataclass(slots=True)
class Status:
    """Counts of a run; records are counted once they are on the disk.

    Attributes:
        done: Users with a list, earlier runs included.
        failed: Rows in the failures file, earlier runs included.
        total: Rows of the user file, about; None when not known.
        calls: Requests sent, earlier runs included.
        cached: Answers from the reply cache.
        tokens: Tokens read and written.
        cost: Price of the tokens, where prices are known.
        currency: Currency of the price.
        waiting_s: Seconds left of a pause that the provider asked for.
        users_per_s: Users a second, over about the last minute.
        tokens_per_s: Tokens a second, over about the last minute.
        left_s: Seconds to the end of the run at that rate; None when not known.
    """

    done: int = 0
    failed: int = 0
    total: int | None = None
    calls: int = 0
    cached: int = 0
    tokens: int = 0
    cost: float | None = None
    currency: str = ""
    waiting_s: float = 0.0
    users_per_s: float = 0.0
    tokens_per_s: float = 0.0
    left_s: float | None = None

    def line(self) -> str:
        """Return all of it in one line."""
        total = f"/{self.total:,}" if self.total is not None else ""
        parts = [
            f"{self.done + self.failed:,}{total} users",
            f"{self.users_per_s:,.{1 if self.users_per_s >= 1 else 2}f} users/s",
            f"{self.tokens_per_s:,.0f} tokens/s",
        ]
        if self.cost is not None:
            parts.append(f"{self.cost:,.4f} {self.currency}")
        parts += [f"{self.cached:,} cached", f"{self.failed:,} failed"]
        if self.waiting_s >= 1:
            parts.append(f"paused {self.waiting_s:.0f} s as the provider asked")
        if self.left_s is not None:
            parts.append(f"{timedelta(seconds=round(self.left_s))} left")
        return " · ".join(parts)


@dataclass(slots=True)
class Rates:
    """Users and tokens a second, over about the last minute."""

    points: list[tuple[float, int, int]] = field(default_factory=list)

    def update(self, status: Status) -> None:
        """Fill in the rates and the time left."""
        now, users = time.monotonic(), status.done + status.failed
        if not self.points or now - self.points[-1][0] >= 1:
            self.points.append((now, users, status.tokens))
        while len(self.points) > 2 and now - self.points[0][0] > _WINDOW_S:
            self.points.pop(0)
        begin, users_then, tokens_then = self.points[0]
        seconds = max(now - begin, 1e-3)
        status.users_per_s = (users - users_then) / seconds
        status.tokens_per_s = (status.tokens - tokens_then) / seconds
        status.left_s = None
        if status.total is not None and status.users_per_s > 0:
            status.left_s = max(0, status.total - users) / status.users_per_s


class Progress:
    """Show nothing: the base of the classes that show a run, and the default from Python."""

    def update(self, status: Status, *, last: bool = False) -> None:
        """Show the counts; called often."""

    def note(self, text: str) -> None:
        """Show a line that a person should read."""

    def close(self) -> None:
        """End the display."""


class LiveLine(Progress):
    """Draw one line again and again, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._live.start()

    def update(self, status: Status, *, last: bool = False) -> None:
        """Draw the line."""
        text = Text(status.line(), no_wrap=True, overflow="ellipsis")
        self._live.update(text, refresh=last)

    def note(self, text: str) -> None:
        """Print a line above it."""
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the line."""
        self._live.stop()


class PlainLines(Progress):
    """Write a line every ten seconds, for logs."""

    def __init__(self, stream: IO[str], every_s: float = _EVERY_S) -> None:
        self._stream = stream
        self._every_s = every_s
        self._next = time.monotonic() + every_s
        self._shown = ""

    def update(self, status: Status, *, last: bool = False) -> None:
        """Write a line when it is time, unless it is the same as the last."""
        if last or time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_s
            if (line := status.line()) != self._shown:
                self.note(line)
            self._shown = line

    def note(self, text: str) -> None:
        """Write a line at once."""
        self._stream.write(visible(text) + "\n")
        self._stream.flush()


class JsonEvents(Progress):
    """Write one JSON object a line: ``progress`` every second, ``note`` for each note."""

    def __init__(self, stream: IO[str], every_s: float = 1.0) -> None:
        self._stream = stream
        self._every_s = every_s
        self._next = 0.0

    def update(self, status: Status, *, last: bool = False) -> None:
        """Write a ``progress`` event when it is time."""
        if last or time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_s
            fields = asdict(status).items()
            rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in fields if v != ""}
            self.event("progress", **rounded)

    def note(self, text: str) -> None:
        """Write a ``note`` event."""
        self.event("note", text=text)

    def event(self, kind: str, **fields: Any) -> None:
        """Write one event."""
        self._stream.write(json.dumps({"event": kind, **fields}) + "\n")
        self._stream.flush()


def progress_for(console: Console, *, as_json: bool) -> Progress:
    """Return events on stdout if asked for, else a live line on a terminal, lines elsewhere."""
    if as_json:
        return JsonEvents(sys.stdout)
    return LiveLine(console) if console.is_terminal else PlainLines(sys.stderr)
