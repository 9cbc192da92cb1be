"""`FitData`: the log, the catalog and the memory that sources are fitted with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rag_rec.index import ItemIndex, Vectors
from rag_rec.retrieval.histories import Histories

_BYTES_OF_ENTRY = 8  # float32 and int32
_COPIES = 32  # views, sources, the sources side by side, their sum, and their intermediate results


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a fit.

    Attributes:
        memory_gib: Largest working set; the rest of the process comes on top.
        exact_items: Up to so many items every pair of texts is compared. Beyond, vectors are
            compared within clusters and words only where they are rare.
    """

    memory_gib: float = 6.0
    exact_items: int = 40_000

    def dense_head(self, log: Histories) -> NDArray[np.int64]:
        """Return the items with events whose dense solve fits, the most frequent, ascending.

        The working set is two ``float32 [n, n]``: the matrix inverted in place, and as much again
        for the sparse product it is filled from, LAPACK's blocks and the rows being cut.
        """
        fitting = int(np.sqrt(self.memory_gib * 2**30 / (2 * 4)))
        counts = log.counts()
        order = np.argsort(-counts, kind="stable")[:fitting]
        return np.sort(order[counts[order] > 0])

    def per_row(self, n_items: int, wanted: int) -> int:
        """Return the entries of each row that a source may keep, from 10 to ``wanted``."""
        fitting = self.memory_gib * 2**30 / (_BYTES_OF_ENTRY * _COPIES * max(n_items, 1))
        return min(wanted, max(10, int(fitting)))

    def compares_all(self, n_items: int) -> bool:
        """Return True if every pair of texts is compared."""
        return n_items <= self.exact_items


@dataclass(frozen=True, slots=True)
class FitData:
    """The data of a fit: ``u`` users, ``e`` events, ``n`` items, ``r`` reviews, dimension ``d``.

    Attributes:
        log: Every user's events in time order.
        times: ``float64 [e]``, unix seconds, NaN where unknown.
        texts: Text of each item.
        titles: Title of each item; empty where unknown.
        attributes: Brand and categories of each item.
        item_vectors: ``float32 [n, d]``, unit rows.
        review_vectors: ``float32 [r, d]``, unit rows.
        review_items: ``int32 [r]``, ``item_ix`` of each review; -1 for those put aside.
        review_users: ``int32 [r]``, row in ``log`` of the review's author; -1 for others.
        budget: Limits of memory and of comparisons.
    """

    log: Histories
    times: NDArray[np.float64]
    texts: list[str]
    titles: list[str]
    attributes: list[tuple[str, ...]]
    item_vectors: Vectors
    review_vectors: Vectors
    review_items: NDArray[np.int32]
    review_users: NDArray[np.int32]
    budget: Budget = field(default_factory=Budget)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return self.log.n_items

    def without_last(self, n: int) -> FitData:
        """Return the data without the ``n`` last events of every user and their reviews of them."""
        kept = self.log.ages >= n
        return replace(
            self,
            log=self.log.without_last(n),
            times=self.times[kept],
            review_items=np.where(self._reviews_of(~kept), -1, self.review_items),
        )

    def without_items(self, items: NDArray[np.bool_]) -> FitData:
        """Return the data as if nobody had taken or reviewed the marked items, ``bool [n]``."""
        marked = np.append(items, False)  # at -1: no item
        kept, reviewed = ~marked[self.log.items], ~marked[self.review_items]
        return replace(
            self,
            log=self.log.kept(kept),
            times=self.times[kept],
            review_items=np.where(reviewed, self.review_items, -1),
        )

    def _reviews_of(self, events: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mark the reviews in which a user writes about one of these events of theirs."""
        events = events & (self.log.items >= 0)
        pairs = self.log.owners[events] * np.int64(self.n_items) + self.log.items[events]
        return np.isin(self.review_users * np.int64(self.n_items) + self.review_items, pairs)

    @classmethod
    def of(cls, index: ItemIndex, texts: list[str], budget: Budget | None = None) -> FitData:
        """Return the data of an index version."""
        named = index.items.select("brand", "categories").iter_rows()
        return cls(
            log=Histories.of_index(index),
            times=index.interactions["timestamp"].to_numpy().astype(np.float64),
            texts=texts,
            titles=index.items["title"].to_list(),
            attributes=[tuple(dict.fromkeys(filter(None, (b, *c)))) for b, c in named],
            item_vectors=index.item_vectors,
            review_vectors=index.review_vectors,
            review_items=index.review_items,
            review_users=index.review_users,
            budget=budget or Budget(),
        )
