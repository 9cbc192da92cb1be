"""Remarks on a data set that its owner should read: accounts and names out of the ordinary."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rag_rec.core import NAME_CHARS, plain_text
from rag_rec.data import Dataset

_ORDINARY, _TIMES, _LEAST = 0.99, 10, 100
_NAMED = 3


def notices(dataset: Dataset) -> tuple[str, ...]:
    """Return the remarks, one line each."""
    return (*_heavy_accounts(dataset.interactions), *_long_names(dataset.items))


def _heavy_accounts(log: pl.DataFrame) -> Iterator[str]:
    """Yield a remark on users with ten times as many events as 99 % of the users have at most."""
    counts = log.group_by("user_id").len("events")
    ordinary = counts["events"].quantile(_ORDINARY, "lower") or 0
    heavy = counts.filter(pl.col("events") >= max(_LEAST, _TIMES * ordinary))
    if not heavy.height:
        return
    most = heavy.sort("events", "user_id", descending=[True, False]).head(_NAMED)
    named = ", ".join(
        f"'{plain_text(user[:40])}' ({events:,})" for user, events in most.iter_rows()
    )
    more = "" if heavy.height <= _NAMED else " and others"
    yield (
        f"{heavy.height:,} of {counts.height:,} users have far more events than the others (99 % "
        f"have at most {ordinary:,.0f}): {named}{more}; each item of theirs counts once, look at "
        "whether a person made them"
    )


def _long_names(items: pl.DataFrame) -> Iterator[str]:
    """Yield a remark on items whose names prompts cannot show whole."""
    names = (pl.col("title"), pl.col("brand"), pl.col("categories").list.join(", "))
    is_long = pl.any_horizontal(name.str.len_chars() > NAME_CHARS for name in names)
    found = items.filter(is_long)["item_id"]
    if len(found):
        yield (
            f"{len(found):,} items, the first '{plain_text(found[0][:80])}', have a title, brand "
            f"or categories of more than {NAME_CHARS} characters: prompts show the beginning"
        )
