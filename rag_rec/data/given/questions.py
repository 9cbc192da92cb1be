"""Questions of a given split: each row with the history that it, or the earlier files, give it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.formats.base import TableRows
from rag_rec.data.given.chains import events_of
from rag_rec.data.given.rows import GivenRows
from rag_rec.data.rejects import Rejects
from rag_rec.data.splits.ties import is_tied


def questions_of(
    asked: GivenRows, earlier: Sequence[GivenRows], catalog: pl.DataFrame, rejects: Rejects
) -> pl.DataFrame:
    """Return one question a row: ``user_id, item_id, input, tied``.

    Args:
        asked: The rows to ask.
        earlier: The files before them, which histories start from.
        catalog: The items; a row whose item is not among them is a bad row.
        rejects: Policy for bad rows.

    Raises:
        DataError: If no row has a history.
    """
    rows = TableRows([asked.frame], asked.path).known(asked.frame, catalog, rejects)
    past = pl.concat([rows.clear().drop("history"), *(events_of(it.frame) for it in earlier)])
    past = past.sort("user_id", "timestamp", nulls_last=False, maintain_order=True)
    both = pl.concat([past, rows.drop("history")])
    tied = both.select(is_tied()).to_series()[past.height :]
    inputs = pl.Series(list(_inputs(rows, past)), dtype=pl.List(pl.String))
    found = rows.select("user_id", "item_id").with_columns(input=inputs, tied=tied)
    questions = found.filter(pl.col("input").list.len() > 0)
    if not questions.height:
        raise DataError(
            "no row has a history: give the files before it, --train and --validation",
            path=asked.path,
        )
    if questions.height < found.height:
        n = found.height - questions.height
        rejects.notice(f"{asked.path.name}: {n} rows without a history are not asked")
    return questions


def _inputs(rows: pl.DataFrame, past: pl.DataFrame) -> Iterator[list[str]]:
    """Yield the history of each row; rows are in the order of their times."""
    taken: dict[str, list[str]] = dict(past.group_by("user_id").agg("item_id").iter_rows())
    own: dict[str, list[tuple[int, str]]] = defaultdict(list)
    columns = rows.select("user_id", "item_id", "timestamp", "history")
    for user, item, time, history in columns.iter_rows():
        if history is not None:
            yield history
            continue
        before = [it for at, it in own[user] if time is not None and at < time]
        yield taken.get(user, []) + before
        if time is not None:
            own[user].append((time, item))
