"""What retrieval is: the `Retriever` protocol, and the sources it is made of.

A source is fitted once, when the index is built, and leaves an item-item matrix: row = an item of
the history, column = a candidate, value = how strongly the first speaks for the second. A user's
scores are then one sparse product, history weights times matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.index import ItemIndex, Vectors
from rag_rec.retrieval.budget import Budget
from rag_rec.retrieval.histories import Histories


@runtime_checkable
class Retriever(Protocol):
    """Proposes candidates and explains them."""

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """Return the candidates of each user, best first, at most ``k``, one list a history.

        No candidate is in the history (unless its constraints allow that), excluded or
        unavailable; there are fewer than ``k`` only when fewer items are eligible. `pools` mends
        lists that fall short of this.
        """
        ...

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """Return the strongest link from the history to each item; unlinked items are absent.

        Args:
            history: The user.
            item_ids: The items to explain.

        Returns:
            Evidence of kind ``history`` by item id, in any order: ``text`` is the sentence,
            ``similarity`` the link's strength.
        """
        ...


@dataclass(frozen=True, slots=True)
class FitData:
    """What sources are fitted on. Users are ``u``, events ``e``, items ``n``, dimension ``d``.

    Attributes:
        log: Every user's events in time order.
        times: ``float64 [e]``, unix seconds, NaN where unknown.
        texts: Text of each item.
        titles: Title of each item; empty where unknown.
        attributes: Brand and categories of each item.
        item_vectors: ``float32 [n, d]``, unit rows.
        review_vectors: ``float32 [r, d]``, unit rows.
        review_items: ``int32 [r]``, ``item_ix`` of each review; -1 for those put aside.
        review_users: ``int32 [r]``, row in ``log`` of who wrote it; -1 for others.
        budget: What fits the memory.
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
        """The same without the ``n`` last events of every user and what they wrote of them."""
        kept = self.log.ages >= n
        return replace(
            self,
            log=self.log.without_last(n),
            times=self.times[kept],
            review_items=np.where(self._reviews_of(~kept), -1, self.review_items),
        )

    def _reviews_of(self, events: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which reviews are their writer's words on one of these events."""
        events = events & (self.log.items >= 0)
        told = self.log.owners[events] * np.int64(self.n_items) + self.log.items[events]
        return np.isin(self.review_users * np.int64(self.n_items) + self.review_items, told)

    @classmethod
    def of(cls, index: ItemIndex, texts: list[str], budget: Budget | None = None) -> FitData:
        """The data of an index version."""
        log = index.interactions
        rows = index.items.select("item_id").with_row_index("item_ix")
        placed = log.join(rows, on="item_id", how="left", maintain_order="left")
        lengths = log["user_id"].rle().struct.field("len").to_numpy()
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        named = index.items.select("brand", "categories").iter_rows()
        return cls(
            log=Histories(index.n_items, starts, placed["item_ix"].to_numpy().astype(np.int32)),
            times=log["timestamp"].to_numpy().astype(np.float64),
            texts=texts,
            titles=index.items["title"].to_list(),
            attributes=[tuple(dict.fromkeys(filter(None, (b, *c)))) for b, c in named],
            item_vectors=index.item_vectors,
            review_vectors=index.review_vectors,
            review_items=index.review_items,
            review_users=index.review_users,
            budget=budget or Budget(),
        )


class Source(Protocol):
    """One kind of evidence for "who had this may want that"."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def fit(self, data: FitData) -> sparse.csr_array:
        """Matrix ``float32 [n, n]``, non-negative, zero diagonal, a bounded number a row."""
        ...
