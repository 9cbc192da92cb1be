"""One file of a given split: a row is an event, or an event with the history before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.formats.auto import HISTORY_NAMES, holds_histories, ids_in
from rag_rec.data.formats.base import Format, Sources
from rag_rec.data.rejects import Rejects
from rag_rec.data.schema import INTERACTIONS, LINE, Column, dtypes, empty

_ROWS = (*INTERACTIONS, Column("history", "text", aliases=HISTORY_NAMES))


@dataclass(frozen=True, slots=True, eq=False)
class GivenRows:
    """Rows of one file of a given split.

    Attributes:
        path: The file.
        frame: ``user_id, item_id, timestamp, rating``, the file's row number, and ``history``, a
            list of items, null where the file has none; by time, then in file order.
        has_histories: True if the file has a column of histories.
    """

    path: Path
    frame: pl.DataFrame
    has_histories: bool


def read_given(path: Path, form: Format, sources: Sources, rejects: Rejects) -> GivenRows:
    """Read one file of a given split.

    Args:
        path: The file, in the form of an interaction log; a column ``history`` (or
            ``item_id_list``, ``history_item_id``) gives each row a history of its own.
        form: The format of files without histories.
        sources: Choices of columns and forms, for the table ``interactions``.
        rejects: Policy for bad rows.

    Raises:
        DataError: If the file cannot be read, or has no rows.
    """
    is_table = form.name in {"auto", "recbole"}
    if is_table and holds_histories(path, sources):
        table = sources.rows_of(path, "interactions", _ROWS, rejects).table(_ROWS)
        frame = table.with_columns(history=ids_in(pl.col("history")).fill_null([]))
    else:
        own = Sources(None, {"interactions": path}, sources.columns, sources.forms)
        log = form.read(own, rejects).interactions
        table = empty(INTERACTIONS) if log is None else log.table(INTERACTIONS)
        frame = table.with_columns(history=pl.lit(None, pl.List(pl.String)))
    if not frame.height:
        raise DataError("has no rows to ask or to fit on", path=path)
    length = pl.col("history").list.len()
    order = frame.select(*dtypes(_ROWS), LINE).sort(
        "timestamp", length, nulls_last=False, maintain_order=True
    )
    return GivenRows(path, order, has_histories=frame["history"].null_count() == 0)
