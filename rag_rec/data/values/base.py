"""The form of a column: decided from all its values, named, and open to override."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl


class Form(NamedTuple):
    """The form in which a column writes its values.

    Attributes:
        name: Its name, as ``--read TABLE.COLUMN=NAME`` takes it; empty where there is but one.
        said: A remark for a person, if the form had to be inferred.
    """

    name: str = ""
    said: str = ""


def in_turn(text: pl.Series, *readers: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Read each value by the first reader that can; a reader sees what those before it left."""
    first, *others = readers
    values = first(text)
    for reader in others:
        left = (values.is_null() & text.is_not_null()).arg_true().to_numpy()
        if not left.size:
            break
        rows = np.arange(len(text))
        rows[left] = len(text) + np.arange(left.size)
        values = pl.concat([values, reader(text.gather(left))]).gather(rows)
    return values


def fields(text: pl.Series, pattern: str) -> pl.DataFrame:
    """Return the named groups of a pattern as columns of text; null where it does not match."""
    return text.str.extract_groups(pattern).struct.unnest()


def counted(*marks: pl.Series) -> Sequence[int]:
    """Return how many rows each mask marks."""
    return [int(mark.fill_null(value=False).sum()) for mark in marks]
