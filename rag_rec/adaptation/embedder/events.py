"""The events that an embedder may learn from: never the last two of anybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.core import DataError
from rag_rec.index import ItemIndex, item_texts

RESERVED = 2
"""Events of each user, from the end, that no pair holds: they serve validation and test."""


@dataclass(frozen=True, slots=True)
class Events:
    """A log that was cut in time, for learning from its earlier part.

    Attributes:
        texts: Distinct texts of items, the empty one aside.
        titles: Title of each item.
        text_of: ``int32 [n]``, the text of each item, -1 for one that has none.
        owners: ``int64 [e]``, the user of each event; events of a user are in time order.
        items: ``int32 [e]``, ``item_ix``, -1 for items that are not in the catalog.
        ages: ``int64 [e]``, number of events of the same user after each.
        user_ids: Ids of the users.
        n_cut: Events at or after the cut.
    """

    texts: list[str]
    titles: list[str]
    text_of: NDArray[np.int32]
    owners: NDArray[np.int64]
    items: NDArray[np.int32]
    ages: NDArray[np.int64]
    user_ids: list[str]
    n_cut: int

    @classmethod
    def of(cls, index: ItemIndex, until: float | None = None) -> Events:
        """Return the events of an index's log.

        Args:
            index: An open index.
            until: Events at or after this time, in Unix seconds, are left out as if they had not
                happened, and so are those of unknown time.

        Raises:
            DataError: If that leaves none.
        """
        log = index.interactions
        kept = log if until is None else log.filter(pl.col("timestamp") < until)
        if not kept.height:
            raise DataError("no event lies before --until; give a later time")
        rows = index.items.select("item_id").with_row_index("item_ix")
        placed = kept.join(rows, on="item_id", how="left", maintain_order="left")
        lengths = kept["user_id"].rle().struct.field("len").to_numpy().astype(np.int64)
        ends = np.repeat(np.cumsum(lengths), lengths)
        texts = item_texts(index.items)
        distinct = {text: at for at, text in enumerate(dict.fromkeys(filter(None, texts)))}
        return cls(
            texts=list(distinct),
            titles=index.items["title"].to_list(),
            text_of=np.array([distinct.get(text, -1) for text in texts], np.int32),
            owners=np.repeat(np.arange(len(lengths)), lengths),
            items=placed["item_ix"].fill_null(-1).to_numpy().astype(np.int32),
            ages=ends - 1 - np.arange(len(ends)),
            user_ids=kept["user_id"].rle().struct.field("value").to_list(),
            n_cut=log.height - kept.height,
        )

    @property
    def event_texts(self) -> NDArray[np.int32]:
        """``int32 [e]``, the text of each event's item, -1 without one."""
        return np.append(self.text_of, np.int32(-1))[self.items]
