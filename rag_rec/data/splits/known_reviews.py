"""Reviews that a fit may see: none of a hidden event, none from after a cut."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rag_rec.data.reviews import ReviewStore


def reviews_to_fit(
    reviews: ReviewStore, hidden: pl.DataFrame, known_until: int | None = None
) -> ReviewStore:
    """Leave out reviews of hidden events and, where there is a cut, those not known to precede it.

    Args:
        reviews: All reviews.
        hidden: ``user_id`` and ``item_id`` of the hidden events.
        known_until: Time (Unix seconds) from which on nothing is known; None for no cut. With a
            cut, a review without a time is left out, since it may be from after it.
    """

    def kept() -> Iterator[pl.DataFrame]:
        for frame in reviews.frames():
            left = frame.join(hidden, on=["user_id", "item_id"], how="anti", maintain_order="left")
            yield left if known_until is None else left.filter(pl.col("timestamp") < known_until)

    return ReviewStore(kept())
