"""``auto``: single files of any kind whose columns have usual names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from rag_rec.data.formats.base import Format, Sources, TableRows, Tables, as_log
from rag_rec.data.matching import match_columns
from rag_rec.data.rejects import Rejects
from rag_rec.data.schema import INTERACTIONS, ITEMS, LINE, REVIEWS, Column
from rag_rec.data.tables import header_of

HISTORY_NAMES = ("itemidlist", "historyitemid", "itemids", "history")
_HISTORY = (
    Column("user_id", "id", required=True, aliases=INTERACTIONS[0].aliases),
    Column("history", "text", required=True, aliases=HISTORY_NAMES),
    Column("item_id", "text", aliases=INTERACTIONS[1].aliases),
)


def read_auto(sources: Sources, rejects: Rejects) -> Tables:
    """Read the tables that have a file."""
    return Tables(
        items=sources.rows("items", ITEMS, rejects),
        reviews=sources.rows("reviews", REVIEWS, rejects),
        interactions=_log(sources, rejects),
    )


AUTO = Format("auto", read_auto)


def _log(sources: Sources, rejects: Rejects) -> TableRows | None:
    """Read one event a row, or one user a row with a list of items and perhaps the next one."""
    path = sources.files.get("interactions")
    if path is None or not holds_histories(path, sources):
        return sources.rows("interactions", INTERACTIONS, rejects)
    rows = sources.rows_of(path, "interactions", _HISTORY, rejects)
    return replace(rows, frames=[_unrolled(rows.table(_HISTORY), rejects, path)])


def holds_histories(path: Path, sources: Sources) -> bool:
    """Tell if a log has a column of lists of items."""
    named = sources.columns.get("interactions", {})
    header = header_of(path, named.values())
    return "history" in named or "history" in match_columns(header, _HISTORY, {})


def ids_in(text: pl.Expr) -> pl.Expr:
    """Return the item ids of a text: between spaces or commas, perhaps quoted, or in brackets."""
    return text.str.strip_chars("[] ").str.replace_all(r"[,'\"]", " ").str.extract_all(r"\S+")


def _unrolled(rows: pl.DataFrame, rejects: Rejects, path: Path) -> pl.DataFrame:
    """Return events of each user's longest row; shorter rows are its beginnings (augmentation)."""
    events = ids_in(pl.col("history"))
    target = pl.when(pl.col("item_id") != "").then(pl.concat_list("item_id")).otherwise([])
    rows = rows.with_columns(item_id=pl.concat_list(events, target))
    rows = rows.with_columns(length=pl.col("item_id").list.len()).filter(pl.col("length") > 0)
    longest = rows.sort("length", descending=True, maintain_order=True).unique(
        "user_id", keep="first", maintain_order=True
    )
    if longest.height < rows.height:
        rejects.notice(
            f"{path.name}: {rows.height} rows of {longest.height} users; "
            "each user's longest is used"
        )
    return as_log(longest.select("user_id", "item_id", LINE).explode("item_id"))
