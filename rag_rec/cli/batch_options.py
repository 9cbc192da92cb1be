"""Options that several commands of ``rag-rec batch`` share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from rag_rec.core import ConfigError

Users = Annotated[
    Path,
    typer.Option(
        "--users",
        metavar="FILE",
        help="CSV, JSON lines or Parquet. A column user_id; if wanted custom_id, history (item "
        "ids: a list, or between |), profile (plain words), constraints (JSON), k.",
    ),
]
K = Annotated[int | None, typer.Option("--k", min=1, help="List length, where a row names none.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=THEIRS", help="Name a column, as user_id=customer; repeatable."
    ),
]


def columns_of(pairs: Iterable[str]) -> dict[str, str]:
    """Our column to the file's, from pairs on the command line.

    Raises:
        ConfigError: If one is no pair.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, _, theirs = pair.partition("=")
        if not ours or not theirs:
            raise ConfigError(f"--column {pair}: write it as OURS=THEIRS, such as user_id=customer")
        found[ours] = theirs
    return found
