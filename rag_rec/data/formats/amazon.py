"""``amazon``: product and review files of 2014, 2018 and 2023; the log is the reviews' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from rag_rec.core import ConfigError
from rag_rec.data.formats.base import Format, Sources, TableRows, Tables
from rag_rec.data.rejects import Rejects
from rag_rec.data.reviews import ReviewStore
from rag_rec.data.schema import INTERACTIONS, LINE, REVIEWS, Column, dtypes

_ITEMS = (
    Column("item_id", "id", required=True, aliases=("parentasin", "asin")),
    Column("title", "text", aliases=("title",)),
    Column("description", "prose", aliases=("description",)),
    Column("brand", "name", aliases=("brand", "store")),
    Column("price", "price", aliases=("price",)),
    Column("categories", "list", aliases=("categories", "category")),
    Column("released", "date", aliases=("released",)),
    Column("in_stock", "flag", aliases=("instock",)),
)
_REVIEWS = (
    Column("review_id", "text", aliases=("reviewid",)),
    Column("item_id", "id", required=True, aliases=("parentasin", "asin")),
    Column("user_id", "id", required=True, aliases=("userid", "reviewerid")),
    Column("headline", "text", aliases=("summary", "title")),
    Column("text", "text", aliases=("reviewtext", "text")),
    Column("rating", "number", aliases=("overall", "rating")),
    Column("timestamp", "time", aliases=("unixreviewtime", "timestamp")),
)


def _read(sources: Sources, rejects: Rejects) -> Tables:
    path = sources.files.get("reviews") or sources.files.get("interactions")
    if path is None:
        raise ConfigError("the amazon format needs its review file: --reviews FILE")
    items = sources.rows("items", _ITEMS, rejects)
    catalog = None if items is None else _catalog(items, rejects)
    rows = sources.rows_of(path, "reviews", _REVIEWS, rejects)
    events: list[pl.DataFrame] = []

    def texts() -> Iterator[pl.DataFrame]:
        for frame in rows.frames:
            kept = frame if catalog is None else rows.known(frame, catalog, rejects)
            events.append(kept.select(*dtypes(INTERACTIONS), LINE))
            yield _with_headline(kept)

    store = ReviewStore(texts())  # on disk, because the log is wanted before the reviews
    return Tables(
        items=None if items is None or catalog is None else replace(items, frames=[catalog]),
        reviews=TableRows(store.frames(), path),
        interactions=TableRows(events, path),
    )


AMAZON = Format("amazon", _read)


def _with_headline(reviews: pl.DataFrame) -> pl.DataFrame:
    headline, text = pl.col("headline").str.strip_chars(), pl.col("text").str.strip_chars()
    both = pl.concat_str(headline, text, separator=". ")
    whole = pl.when(headline == "").then(text).when(text == "").then(headline)
    return reviews.with_columns(text=whole.otherwise(both)).select(*dtypes(REVIEWS), LINE)


def _catalog(items: TableRows, rejects: Rejects) -> pl.DataFrame:
    """Return the products; the crawls repeat some, and the first line of each is kept."""
    table = items.table(_ITEMS)
    first = table.unique("item_id", keep="first", maintain_order=True)
    if first.height < table.height:
        n_repeated = table.height - first.height
        rejects.notice(f"{items.path.name}: {n_repeated} repeated items left out")
    return first
