"""The order of an index's rows. Ties between items are broken by row, so it must say nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import polars as pl

from rag_rec.data import Dataset
from rag_rec.index.texts import item_texts


def in_row_order(dataset: Dataset) -> Dataset:
    """Return the data with its items, and its retired items, in a neutral order.

    Files list items by first appearance, by sales or by date, and number them so; ties broken in
    that order would tell what is to be predicted. Items are sorted by a hash of the place of their
    first event in the log, those without events by a hash of their text, and by one of their id
    where nothing else tells them apart. Items with events get the same rows whatever their ids.
    """
    places = dataset.interactions.with_row_index("place")
    first = places.group_by("item_id").agg(pl.col("place").min())
    return replace(
        dataset, items=_ordered(dataset.items, first), retired=_ordered(dataset.retired, first)
    )


def _ordered(items: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    placed = items.select("item_id").join(first, on="item_id", how="left", maintain_order="left")
    texts = iter(item_texts(items.filter(placed["place"].is_null())))
    keys = [
        (_hash(next(texts) if place is None else str(place)), _hash(item_id))
        for item_id, place in placed.iter_rows()
    ]
    return items[sorted(range(len(keys)), key=keys.__getitem__)]


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
