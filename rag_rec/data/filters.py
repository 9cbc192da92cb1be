"""Filters of a data set: events by rating, and the k-core. They look at the whole log."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.dataset import Dataset
from rag_rec.data.reviews import ReviewStore


def rated_at_least(dataset: Dataset, rating: float) -> Dataset:
    """Leave out events with a lower rating, and those without one.

    Without a catalog of its own, the data set keeps the items that are left in the log.

    Raises:
        DataError: If no event is rated so high.
    """
    log = dataset.interactions.filter(pl.col("rating") >= rating)
    if not log.height:
        rated = dataset.interactions["rating"].count()
        raise DataError(f"no event is rated {rating:g} or higher ({rated} events have a rating)")
    return _with_log(dataset, log, keep_items="items" in dataset.given)


def k_core(dataset: Dataset, k: int) -> Dataset:
    """Leave out users and items with fewer than ``k`` events, again and again until none is left.

    Items outside the core leave the catalog, too, and so do their reviews. As in published sets,
    the filter counts the events that a split hides later.

    Raises:
        DataError: If nothing is left.
    """
    log, before = dataset.interactions, -1
    while log.height != before:
        before = log.height
        log = log.filter(pl.len().over("user_id") >= k).filter(pl.len().over("item_id") >= k)
    if not log.height:
        raise DataError(f"there is no {k}-core: every user or item falls below {k} events")
    return _with_log(dataset, log, keep_items=False)


def _with_log(dataset: Dataset, log: pl.DataFrame, *, keep_items: bool) -> Dataset:
    """Return the data set with some of its events and, unless they are kept, their items only."""
    if keep_items:
        return replace(dataset, interactions=log)
    left = log.select("item_id").unique()
    items = dataset.items.join(left, on="item_id", how="semi", maintain_order="left")
    reviews = ReviewStore(
        frame.join(left, on="item_id", how="semi", maintain_order="left")
        for frame in dataset.reviews.frames()
    )
    return replace(dataset, items=items, interactions=log, reviews=reviews)
