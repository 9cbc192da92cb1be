"""Candidates for a ranker: the best of the weighted sum, or items at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.fusion.stacked import best
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import columns_of, row_of
from rag_rec.retrieval.ranker.config import RankerConfig
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import Floats

Propose = Callable[
    [Features, Histories, NDArray[np.int32], RankerConfig], tuple[NDArray[np.int32], Floats]
]
"""Candidates ``[b, c]`` for users, whose next events are given, and their fused scores."""


def propose_best(
    features: Features, users: Histories, _: NDArray[np.int32], config: RankerConfig
) -> tuple[NDArray[np.int32], Floats]:
    """The best of the fused sources."""
    return top_fused(features, users, config.depth)


def propose_random(
    features: Features, users: Histories, came_next: NDArray[np.int32], config: RankerConfig
) -> tuple[NDArray[np.int32], Floats]:
    """Items at random, the one that came next in a random place among them."""
    rng = np.random.default_rng([config.seed, *users.starts[-1:], *came_next[:8]])
    candidates = rng.integers(0, features.evidence.n_items, (len(users), config.depth))
    place = rng.integers(0, config.depth, len(users))
    candidates[np.arange(len(users)), place] = came_next
    candidates = candidates.astype(np.int32)
    return candidates, fused_at(features, users, candidates)


def fused_at(features: Features, users: Histories, candidates: NDArray[np.int32]) -> Floats:
    """Fused scores of given candidates, ``[b, c]``."""
    return columns_of(users.weights(features.decay) @ features.evidence.fused, candidates)


def top_fused(features: Features, users: Histories, n: int) -> tuple[NDArray[np.int32], Floats]:
    """The ``n`` best unseen items of each user, ``[b, n]``, filled up with -1, and their scores."""
    product = users.weights(features.decay) @ features.evidence.fused
    candidates = np.full((len(users), n), -1, np.int32)
    scores = np.zeros((len(users), n), np.float32)
    seen = np.zeros(features.evidence.n_items, np.bool_)
    for user in range(len(users)):
        items, values = row_of(product, user)
        seen[users.row(user)] = True
        free = ~seen[items]
        chosen, kept = best(items[free], values[free], n)
        candidates[user, : len(chosen)], scores[user, : len(chosen)] = chosen, kept
        seen[users.row(user)] = False
    return candidates, scores
