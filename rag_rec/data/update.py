"""An update: the tables that are given replace earlier ones, those that are not are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from rag_rec.data.dataset import Dataset


def updated(new: Dataset, earlier: Dataset) -> Dataset:
    """Return the data of an index after an update.

    Items that are no longer in the catalog are retired where an event or a review names them, and
    dropped elsewhere. Where no catalog is given, the earlier one is kept, and items of the log that
    it lacks are added.

    Args:
        new: The data that was read; its ``given`` names the tables that replace earlier ones.
        earlier: The data that the index holds.
    """
    items, gone = _catalog(new, earlier)
    log = new.interactions if "interactions" in new.given else earlier.interactions
    reviews = new.reviews if "reviews" in new.given else earlier.reviews
    named = [log.select("item_id"), *(frame.select("item_id") for frame in reviews.frames())]
    retired = gone.join(pl.concat(named).unique(), on="item_id", how="semi", maintain_order="left")
    made = replace(new, items=items, interactions=log, reviews=reviews, retired=retired)
    changes = ", ".join(_changes(made, earlier))
    return replace(made, notices=[*new.notices, f"update: {changes}"])


def _catalog(new: Dataset, earlier: Dataset) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the catalog, and the earlier items that are not in it."""
    known = pl.concat([earlier.items, earlier.retired])
    if "items" in new.given:
        known = known.unique("item_id", keep="first", maintain_order=True)
        return new.items, known.join(new.items, on="item_id", how="anti", maintain_order="left")
    added = new.items.join(known, on="item_id", how="anti", maintain_order="left")
    return pl.concat([earlier.items, added]), earlier.retired


def _changes(made: Dataset, earlier: Dataset) -> Iterator[str]:
    sizes = (
        ("items", made.items.height, earlier.items.height),
        ("reviews", made.reviews.count, earlier.reviews.count),
        ("interactions", made.interactions.height, earlier.interactions.height),
    )
    for name, now, before in sizes:
        if name in made.given:
            yield f"{name} replaced ({before:,} before, {now:,} now)"
        else:
            yield f"{name} kept ({now:,})"
    known = pl.concat([earlier.items, earlier.retired])
    listed = known.join(made.items, on="item_id", how="semi")
    if added := "items" not in made.given and made.items.height - earlier.items.height:
        yield f"{added:,} items of the log added, known by id only"
    if made.retired.height:
        yield f"{made.retired.height:,} items retired: they still teach and are never listed"
    if dropped := known.height - listed.height - made.retired.height:
        yield f"{dropped:,} items dropped that nothing names"
