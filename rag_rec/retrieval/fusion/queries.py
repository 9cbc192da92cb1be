"""Queries: histories, eligible items and evidence from elsewhere, of a batch of users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.constraints import limits_items
from rag_rec.core import UserHistory
from rag_rec.index import ItemIndex
from rag_rec.retrieval.fusion.stacked import ItemScores
from rag_rec.retrieval.fusion.weights import REPLAY, Weighting
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import row_of

_PROFILE_ITEMS = 200


@dataclass(slots=True)
class QueryBatch:
    """Users to retrieve for.

    Attributes:
        users: Their histories.
        weights: ``float32 [b, n]``, weights of the items in each history.
        blocked: ``bool [b, n]``, items that may not be listed for a user.
        extra: For each user, scores that come from elsewhere than the matrices, by source.
    """

    users: Histories
    weights: sparse.csr_array
    blocked: NDArray[np.bool_]
    extra: list[dict[str, ItemScores]]


class QueryReader:
    """Turns histories and their constraints into row numbers, weights and masks.

    Args:
        index: An open index version.
        weighting: The decay of histories, and the weight of replaying them.
    """

    def __init__(self, index: ItemIndex, weighting: Weighting) -> None:
        self._index = index
        self._weighting = weighting

    def rows(self, histories: Sequence[UserHistory]) -> Histories:
        """Return events as row numbers, -1 for items that are not in the catalog."""
        place = self._index.row_of
        rows = [[place.get(event.item_id, -1) for event in user.events] for user in histories]
        return Histories.of(rows, self._index.n_items)

    def read(self, histories: Sequence[UserHistory]) -> QueryBatch:
        """Return the queries of some users, at least one."""
        users = self.rows(histories)
        weights = users.weights(self._weighting.decay)
        allowed = [self._index.eligibility.mask(history) for history in histories]
        blocked = ~np.stack(allowed)
        extra: list[dict[str, ItemScores]] = [{} for _ in histories]
        for row, history in enumerate(histories):
            if history.constraints.allow_seen:
                extra[row][REPLAY] = self._replay(weights, row)
        self._add_profiles(histories, extra, blocked)
        return QueryBatch(users, weights, blocked, extra)

    def _replay(self, weights: sparse.csr_array, row: int) -> ItemScores:
        """Return the history itself, for users whose items may be listed again.

        As strong as an identity matrix scaled to unit deviation like the other sources.
        """
        items, values = row_of(weights, row)
        return items, values * np.float32(self._weighting.replay * np.sqrt(self._index.n_items))

    def _add_profiles(
        self,
        histories: Sequence[UserHistory],
        extra: list[dict[str, ItemScores]],
        blocked: NDArray[np.bool_],
    ) -> None:
        """Add scores of the items nearest to the plain words about a user."""
        rows = [row for row, history in enumerate(histories) if history.profile]
        if not rows:
            return
        vectors = self._index.embedder.embed([histories[row].profile or "" for row in rows])
        found = self._index.nearest(vectors, _PROFILE_ITEMS)
        for row, vector, (items, cosines) in zip(rows, vectors, found, strict=True):
            if limits_items(histories[row].constraints):
                free = np.flatnonzero(~blocked[row])
                every = self._index.item_vectors[free] @ vector
                nearest = np.argsort(-every, kind="stable")[:_PROFILE_ITEMS]
                items, cosines = free[nearest], every[nearest]
            extra[row]["profile"] = (items.astype(np.int32), np.maximum(cosines, 0) ** 2)
