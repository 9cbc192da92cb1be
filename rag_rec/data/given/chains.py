"""From rows with histories back to each user's sequence of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from rag_rec.data.schema import INTERACTIONS, LINE, dtypes

_Event = tuple[str, int | None, float | None, int]


def events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the events that rows tell of, each once: the log's columns and the row number.

    Histories overlap: each is the row before with its item at the end, perhaps without the oldest
    items. Of a history only what goes on from the events before it is new. Events that are known
    from a history alone have no time; a user with such an event after one with a time gets none.

    Args:
        rows: As in `GivenRows.frame`, a user's rows in order; without an item where a row tells of
            its history alone.
    """
    columns = [*dtypes(INTERACTIONS), LINE]
    if rows["history"].null_count() == rows.height:
        return rows.filter(pl.col("item_id").is_not_null()).select(columns)
    chains: dict[str, list[_Event]] = {}
    for user, item, time, rating, line, history in rows.select(*columns, "history").iter_rows():
        target = [] if item is None else [(item, time, rating, line)]
        chain = chains.setdefault(user, [])
        taken = [event[0] for event in chain]
        new = _continued(taken, history or [], item)
        if new is not None:
            chain += [(it, None, None, line) for it in new] + target
    found = ((user, *event) for user, chain in chains.items() for event in _with_times(chain))
    return pl.DataFrame(list[Any](found), {**dtypes(INTERACTIONS), LINE: pl.Int64()}, orient="row")


def _continued(taken: list[str], history: Sequence[str], item: str | None) -> list[str] | None:
    """Return the items of a history that are not among those taken; None if the row tells nothing.

    A row tells nothing if the history and its item are a stretch of what was taken.
    """
    history = list(history)
    n = len(history)
    if not n or taken[-n:] == history:
        return []
    whole = history if item is None else [*history, item]
    width = len(whole)
    if any(taken[at : at + width] == whole for at in range(len(taken) - width + 1)):
        return None
    longest = range(min(n, len(taken)), -1, -1)
    return next(history[k:] for k in longest if taken[len(taken) - k :] == history[:k])


def _with_times(chain: list[_Event]) -> list[_Event]:
    times = [event[1] for event in chain]
    first = next((at for at, time in enumerate(times) if time is not None), len(times))
    if None not in times[first:]:
        return chain
    return [(item, None, rating, line) for item, _, rating, line in chain]
