"""Files with users, prompts or replies in them: for the account that writes them alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

MODE = 0o600
"""Read and written by the owner only."""


def open_private(path: str | Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file as `open` does; one that is made is for its owner alone.

    A file that is there keeps its mode: somebody may have opened it to others on purpose.
    """
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, MODE), **options)


def make_private(path: str | Path) -> None:
    """Make an empty file for its owner alone, where there is none, for others to fill.

    Raises:
        OSError: If it cannot be made.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, MODE))
