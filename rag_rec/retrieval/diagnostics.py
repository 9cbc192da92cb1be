"""Diagnostics: rankings and scores of the shipped retriever and of each source alone.

For measuring retrieval on its own. Items are ``item_ix``, users rows; see `Retriever` for what
the rest of the package works with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import UserHistory
from rag_rec.index import ItemIndex
from rag_rec.retrieval.fusion.retriever import FusedRetriever
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import columns_of, row_of, rows_times
from rag_rec.retrieval.ranker.lambdamart import Ranked
from rag_rec.retrieval.stacked import best

Rankings = NDArray[np.int32]
"""``item_ix [u, depth]``, best first, -1 where there are fewer."""

_BATCH = 1024


class Diagnostics:
    """Rankings and scores by the fusion, by its parts, and by popularity.

    Args:
        index: An open index version.
    """

    def __init__(self, index: ItemIndex) -> None:
        self.index = index
        self._retriever = FusedRetriever(index)
        self._sources = self._retriever.sources

    def histories(self, histories: Sequence[UserHistory]) -> Histories:
        """Return events as row numbers, -1 for items that are not in the catalog."""
        return Histories.of_users(self.index, histories)

    def ranked(self, histories: Sequence[UserHistory], depth: int) -> list[Ranked]:
        """Return the order of the shipped retriever, as items and scores of each user."""
        return self._retriever.rank(histories, depth)

    def fusion(self, histories: Sequence[UserHistory], depth: int) -> Rankings:
        """Return the order of the shipped retriever as a table."""
        ranked = self.ranked(histories, depth)
        return as_table((items for items, _ in ranked), len(histories), depth)

    def parts(
        self, histories: Sequence[UserHistory], depth: int, *, mask: bool
    ) -> dict[str, Rankings]:
        """Return the order of the weighted sum (where a ranker follows it), sources, popularity.

        Args:
            histories: The users; their constraints are ignored.
            depth: Length of a ranking.
            mask: False to rank items of the history too.
        """
        users = self.histories(histories)
        weights = self._retriever.history_weights(histories)
        parts = {} if self._retriever.ranker is None else {"weighted sum": self._sources.fused}
        parts |= {name: self._sources.matrix(name) for name in self._sources.names}
        found = {
            name: as_table(_of_matrix(users, weights, matrix, depth, mask=mask), len(users), depth)
            for name, matrix in parts.items()
        }
        popular = self._retriever.by_popularity.astype(np.int32)
        orders = (popular for _ in range(len(users)))
        return found | {"popularity": unseen(orders, users, depth, mask=mask)}

    def of_recent(
        self, histories: Sequence[UserHistory], depth: int, n: int | None, *, mask: bool
    ) -> Rankings:
        """Return the order of the weighted sum of each user's last ``n`` events; None for all.

        ``mask`` leaves out the items of the whole history.
        """
        last = slice(0 if n is None else -n, None)
        recent = [user.model_copy(update={"events": user.events[last]}) for user in histories]
        users, weights = self.histories(histories), self._retriever.history_weights(recent)
        rows = _of_matrix(users, weights, self._sources.fused, depth, mask=mask)
        return as_table(rows, len(users), depth)

    def scores(
        self, histories: Sequence[UserHistory], candidates: NDArray[np.int32]
    ) -> dict[str, NDArray[Any]]:
        """Return scores of given candidates ``[u, c]`` by the fusion, popularity and sources.

        The fusion's are those of the ranker of given candidates, if one was fitted.

        Args:
            histories: ``u`` users.
            candidates: ``item_ix [u, c]``.
        """
        popular = np.empty(self.index.n_items)
        popular[self._retriever.by_popularity] = -np.arange(len(popular))
        weights = self._retriever.history_weights(histories)
        found: dict[str, NDArray[Any]] = {
            "fusion": self._fused_scores(histories, candidates),
            "popularity": popular[candidates],
        }
        for name in self._sources.names:
            found[name] = _columns(weights, self._sources.matrix(name), candidates)
        return found

    def _fused_scores(
        self, histories: Sequence[UserHistory], candidates: NDArray[np.int32]
    ) -> NDArray[Any]:
        ranker = self._retriever.ranker_of_given
        if ranker is None:
            weights = self._retriever.history_weights(histories)
            return _columns(weights, self._sources.fused, candidates)
        scores = np.zeros(candidates.shape)
        for start in range(0, len(histories), _BATCH):
            span = slice(start, start + _BATCH)
            scores[span] = ranker.scores(self.histories(histories[span]), candidates[span])
        return scores


def as_table(rows: Iterable[NDArray[np.int32]], n: int, depth: int) -> Rankings:
    """Return ``n`` rows of items as one table, filled up with -1."""
    rankings = np.full((n, depth), -1, np.int32)
    for at, items in enumerate(rows):
        rankings[at, : len(items)] = items
    return rankings


def unseen(
    orders: Iterable[NDArray[np.int32]], users: Histories, depth: int, *, mask: bool
) -> Rankings:
    """Return the heads of an order for each user, without their own items where ``mask``."""

    def rows() -> Iterable[NDArray[np.int32]]:
        for user, order in enumerate(orders):
            seen = users.row(user) if mask else users.items[:0]
            head = order[: depth + len(seen)]
            yield head[~np.isin(head, seen)][:depth]

    return as_table(rows(), len(users), depth)


def _of_matrix(
    users: Histories,
    weights: sparse.csr_array,
    matrix: sparse.csr_array,
    depth: int,
    *,
    mask: bool,
) -> Iterable[NDArray[np.int32]]:
    for start in range(0, len(users), _BATCH):
        product = weights[start : start + _BATCH] @ matrix
        for row in range(min(_BATCH, len(users) - start)):
            items, values = row_of(product, row)
            free = ~np.isin(items, users.row(start + row)) if mask else np.full(len(items), True)
            yield best(items[free], values[free], depth)[0]


def _columns(
    weights: sparse.csr_array, matrix: sparse.csr_array, candidates: NDArray[np.int32]
) -> NDArray[np.float32]:
    scores = np.empty(candidates.shape, np.float32)
    for start in range(0, len(candidates), _BATCH):
        span = slice(start, start + _BATCH)
        scores[span] = columns_of(rows_times(weights[span], matrix), candidates[span])
    return scores
