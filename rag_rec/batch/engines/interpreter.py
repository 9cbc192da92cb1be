"""How the interpreter is set, for the whole process, while a batch runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

_TURN_S = 0.02


@contextmanager
def settled() -> Generator[None]:
    """Longer turns for threads, and no garbage looked for among what was there before.

    With dozens of threads that wake at any moment, Python's 5 ms turns cost a tenth of the
    throughput in hand-overs. The index and the imported packages outlive the run; the collector
    would visit all of their objects every few hundred users. Both are put back afterwards.
    """
    turn, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    sys.setswitchinterval(max(turn, _TURN_S))
    gc.freeze()
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        if not frozen:  # else somebody before us has frozen what they want to stay so
            gc.unfreeze()
