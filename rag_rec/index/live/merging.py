"""Changes put into what a version holds: one user's events, and whole tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from rag_rec.core import Interaction, Item
from rag_rec.data import Dataset, updated
from rag_rec.index.live.changes import Change, EventRecorded, ItemPut


def with_events(
    built: Sequence[Interaction], live: Sequence[Interaction]
) -> tuple[Interaction, ...]:
    """Return events in the order that a build gives them: by time, those without one first."""
    return tuple(
        sorted(
            (*built, *live), key=lambda event: (event.timestamp is not None, event.timestamp or 0)
        )
    )


def with_spare_rows(items: pl.DataFrame, n: int) -> pl.DataFrame:
    """Return the catalog with ``n`` rows behind it that hold no item."""
    spare = pl.DataFrame({"item_id": [""] * n, "in_stock": [False] * n})
    spare = pl.concat([items.clear(), spare], how="diagonal")
    texts = pl.col("title", "description", "brand").fill_null("")
    return pl.concat([items, spare.with_columns(texts, pl.col("categories").fill_null([]))])


def with_changes(stored: Dataset, changes: Sequence[Change]) -> Dataset:
    """Return the data of a version after some changes, as an update of it.

    Events that the log holds already, at the same second, are not added again.
    """
    items: dict[str, Item | None] = {}
    events: list[tuple[str, str, int | None, float | None]] = []
    for change in changes:
        if isinstance(change, EventRecorded):
            event = change.event
            events.append((change.user_id, event.item_id, event.timestamp, event.rating))
        elif isinstance(change, ItemPut):
            items[change.item.item_id] = change.item
        else:
            items[change.item_id] = None
    given = frozenset({"items", "interactions"})
    data = replace(
        stored,
        items=_with_items(stored.items, items),
        interactions=_with_events(stored.interactions, events),
        notices=[
            f"live changes put in: {len(events):,} events, "
            f"{sum(item is not None for item in items.values()):,} items put, "
            f"{sum(item is None for item in items.values()):,} removed"
        ],
        given=given,
    )
    return updated(data, stored)


def _with_items(catalog: pl.DataFrame, items: dict[str, Item | None]) -> pl.DataFrame:
    ids = pl.DataFrame({"item_id": list(items)}, {"item_id": pl.String()})
    kept = catalog.join(ids, on="item_id", how="anti", maintain_order="left")
    fresh = [
        item.model_dump(exclude={"is_new"}) | {"brand": item.brand or ""}
        for item in items.values()
        if item is not None
    ]
    put = pl.DataFrame(fresh, catalog.schema) if fresh else catalog.clear()
    return pl.concat([kept, put.select(catalog.columns)])


def _with_events(
    log: pl.DataFrame, events: Sequence[tuple[str, str, int | None, float | None]]
) -> pl.DataFrame:
    fresh = pl.DataFrame(events, log.schema, orient="row")
    known = fresh.join(
        log, on=["user_id", "item_id", "timestamp"], how="anti", maintain_order="left"
    )
    return pl.concat([log, known]).sort(
        "user_id", "timestamp", nulls_last=False, maintain_order=True
    )
