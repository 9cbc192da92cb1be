"""Progress of long work, told in steps."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

OnStep = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""


OnDone = Callable[[int], None]
"""Called with the number of requests or lists just finished."""


@contextmanager
def one_step(on_step: OnStep | None, name: str) -> Generator[None]:
    """Tells of work that is either not done or done."""
    if on_step:
        on_step(name, 0, 1)
    yield
    if on_step:
        on_step(name, 1, 1)
