"""A chunk: some rows of a file as columns of text, whatever kind of file it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

CHUNK_ROWS = 50_000

Lines = Callable[[Sequence[int]], list[int]]
Wanted = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        frame: Text columns under the file's own names.
        path: The file.
        lines: Line numbers (from 1) of row numbers of this chunk; may re-read the file.
    """

    frame: pl.DataFrame
    path: Path
    lines: Lines


def brief(error: BaseException) -> str:
    """An exception's message as one short line."""
    return " ".join(str(error).split())[:160]
