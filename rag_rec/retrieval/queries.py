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
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import row_of
from rag_rec.retrieval.stacked import ItemScores
from rag_rec.retrieval.weighting.weights import REPLAY, Weighting

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


def read_queries(
    index: ItemIndex, weighting: Weighting, histories: Sequence[UserHistory]
) -> QueryBatch:
    """Return the queries of some users, at least one: row numbers, weights and masks."""
    users = Histories.of_users(index, histories)
    weights = users.weights(weighting.decay)
    blocked = ~np.stack([index.eligibility.mask(history) for history in histories])
    extra = _near_profiles(index, histories, blocked)
    # the history itself, as strong as an identity matrix scaled to unit deviation like the sources
    replay = np.float32(weighting.replay * np.sqrt(index.n_built))
    again = [row for row, history in enumerate(histories) if history.constraints.allow_seen]
    replayed = users.take(np.array(again, np.int64)).repeated(weighting.replay_decay)
    for at, row in enumerate(again):
        items, values = row_of(replayed, at)
        extra[row] = {REPLAY: (items, values * replay), **extra[row]}
    return QueryBatch(users, weights, blocked, extra)


def _near_profiles(
    index: ItemIndex, histories: Sequence[UserHistory], blocked: NDArray[np.bool_]
) -> list[dict[str, ItemScores]]:
    """Return scores of the items nearest to the plain words about users."""
    scores: list[dict[str, ItemScores]] = [{} for _ in histories]
    rows = [row for row, history in enumerate(histories) if history.profile]
    if not rows:
        return scores
    vectors = index.embedder.embed([histories[row].profile or "" for row in rows])
    found = index.nearest(vectors, _PROFILE_ITEMS)
    for row, vector, (items, cosines) in zip(rows, vectors, found, strict=True):
        if limits_items(histories[row].constraints):
            free = np.flatnonzero(~blocked[row] & index.has_vector)
            every = index.vectors_of(free) @ vector
            nearest = np.argsort(-every, kind="stable")[:_PROFILE_ITEMS]
            items, cosines = free[nearest], every[nearest]
        scores[row]["profile"] = (items.astype(np.int32), np.maximum(cosines, 0) ** 2)
    return scores
