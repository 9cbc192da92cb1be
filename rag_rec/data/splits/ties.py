"""Ties: events of one user at one time, whose order the file decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from rag_rec.data.dataset import Dataset


def is_tied() -> pl.Expr:
    """Return True for an event that shares its time with another one of its user.

    An event without a time counts as untied: nothing can be known of it.
    """
    timed = pl.col("timestamp").is_not_null()
    return timed & (pl.len().over("user_id", "timestamp") > 1)


def shuffle_ties(dataset: Dataset, seed: int) -> Dataset:
    """Put events of one user at one time in random order.

    Where a log gives no times at all, ties cannot be known: each pair of neighbours (first and
    second, third and fourth, or second and third and so on) is swapped with probability one half.
    """
    rng = np.random.default_rng(seed)
    log = dataset.interactions
    place = log.select(place=pl.int_range(pl.len()).over("user_id"))["place"].to_numpy()
    if log["timestamp"].null_count() < log.height:
        key = pl.Series(rng.random(log.height))
        tied = pl.when(pl.col("timestamp").is_null()).then(pl.lit(place)).otherwise(key)
        order = log.with_columns(_key=tied).sort(
            "user_id", "timestamp", "_key", maintain_order=True
        )
        return replace(dataset, interactions=order.drop("_key"))
    owner = log["user_id"].rle_id().to_numpy()
    phase = rng.integers(0, 2, log.height)[owner]
    pair = (place + phase) // 2
    _, number = np.unique(owner.astype(np.int64) * (pair.max() + 1) + pair, return_inverse=True)
    swapped = rng.integers(0, 2, len(log))[number]
    key = pair * 2 + (place + phase + swapped) % 2
    order = np.lexsort((key, owner))
    return replace(dataset, interactions=log[order])
