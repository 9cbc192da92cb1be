"""Callbacks that report the progress of long work."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

OnStep = Callable[[str, int, int], None]
"""Called with the name of the step, how much of it is done, and how much there is."""

OnDone = Callable[[int], None]
"""Called with the number of things just finished; for progress bars."""


@contextmanager
def one_step(on_step: OnStep | None, name: str) -> Generator[None]:
    """Report the start and the end of work that has no parts."""
    if on_step:
        on_step(name, 0, 1)
    yield
    if on_step:
        on_step(name, 1, 1)
