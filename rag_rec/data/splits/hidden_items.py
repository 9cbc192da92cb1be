"""Questions about new items: items hidden from the fit, and the users who took one."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.reviews import ReviewStore
from rag_rec.data.splits.split import Split


def hide_items(split: Split, share: float, seed: int = 0) -> Split:
    """Turn a task into one about new items: they leave the fit, and their takers are the users.

    Args:
        split: The task.
        share: Share of the catalog, drawn at random, whose events and reviews the fit does not
            see.
        seed: Seed of the draw.

    Raises:
        DataError: If nobody took one of them.
    """
    ids = split.fit.items["item_id"]
    hidden = ids.sample(round(share * len(ids)), seed=seed)
    kept = ~pl.col("item_id").is_in(hidden.implode())
    log = split.fit.interactions.filter(kept)
    reviews = ReviewStore(frame.filter(kept) for frame in split.fit.reviews.frames())
    new = set(hidden)
    takers = [at for at, target in enumerate(split.targets) if target in new]
    if not takers:
        raise DataError(f"nobody took one of the {len(new)} hidden items; hide a larger share")
    return replace(split.at(takers), fit=replace(split.fit, interactions=log, reviews=reviews))
