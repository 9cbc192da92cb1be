"""Training data of a ranker: users' next events among the candidates sampled for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import row_lengths, side_by_side
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import Floats
from rag_rec.retrieval.ranker.lambdamart import RankerConfig, TrainingData
from rag_rec.retrieval.stacked import best_of_rows, order_keys, with_places_kept

_BATCH = 256

Sampler = Callable[
    [Features, Histories, NDArray[np.int32], RankerConfig], tuple[NDArray[np.int32], Floats]
]
"""Samples candidates ``[b, c]`` for users, whose next events are given, and their fused scores."""


def training_data(
    features: Features,
    past: Histories,
    came_next: NDArray[np.int32],
    *,
    config: RankerConfig,
    sample: Sampler,
) -> Iterator[TrainingData]:
    """Yield the examples in users' next events, where a candidate came next.

    Args:
        features: Fitted without the events that are to be predicted.
        past: Events before them, one row a user.
        came_next: The event that followed, one a user.
        config: Numbers of users and candidates.
        sample: Samples the candidates.
    """
    users = np.flatnonzero(past.lengths > 0)

    def part(start: int) -> TrainingData | None:
        some = users[start : start + _BATCH]
        batch, target = past.take(some), came_next[some]
        candidates, scores = sample(features, batch, target, config)
        hit = np.flatnonzero((candidates == target[:, None]).any(axis=1))
        if not len(hit):
            return None
        found = features(batch.take(hit), candidates[hit], scores[hit])
        return _labelled(found, candidates[hit], target[hit], some[hit])

    parts = side_by_side(part, range(0, len(users), _BATCH))
    yield from (part for part in parts if part is not None)


def _labelled(
    found: dict[str, Floats],
    candidates: NDArray[np.int32],
    target: NDArray[np.int32],
    users: NDArray[np.int64],
) -> TrainingData:
    real = candidates >= 0
    return TrainingData(
        rows=np.stack(list(found.values()), axis=2)[real],
        labels=(candidates == target[:, None])[real].astype(np.int8),
        groups=real.sum(axis=1),
        users=users,
        names=tuple(found),
    )


def sample_best(
    features: Features, users: Histories, _: NDArray[np.int32], config: RankerConfig
) -> tuple[NDArray[np.int32], Floats]:
    """Return the best unseen items of the fused sources, filled up with -1, and their scores.

    ``config.new_places`` of them are the best without events.
    """
    is_new, places = features.is_new, config.new_places
    product = users.weights(features.decay) @ features.sources.fused
    keys = order_keys(product.indices, product.data)
    seen = users.weights(None)
    had = np.zeros((len(users), users.n_items), np.bool_)
    had[np.repeat(np.arange(len(users)), row_lengths(seen)), seen.indices] = True
    keys[had[np.repeat(np.arange(len(users)), row_lengths(product)), product.indices]] = 0
    found = best_of_rows(keys, product.indptr.tolist(), config.depth)
    if places:
        new = np.flatnonzero(is_new[product.indices])
        ends = np.searchsorted(new, product.indptr).tolist()
        others = best_of_rows(keys[new], ends, places)
        found = [
            with_places_kept(whole, kept, config.depth, places)
            for whole, kept in zip(found, others, strict=True)
        ]
    candidates = np.full((len(users), config.depth), -1, np.int32)
    scores = np.zeros((len(users), config.depth), np.float32)
    for user, (items, values) in enumerate(found):
        n = min(len(items), config.depth)
        candidates[user, :n], scores[user, :n] = items[:n], values[:n]
    return candidates, scores


def sample_random(
    features: Features, users: Histories, came_next: NDArray[np.int32], config: RankerConfig
) -> tuple[NDArray[np.int32], Floats]:
    """Return items at random, the one that came next in a random place among them."""
    rng = np.random.default_rng([config.seed, *users.starts[-1:], *came_next[:8]])
    candidates = rng.integers(0, features.sources.n_items, (len(users), config.depth))
    place = rng.integers(0, config.depth, len(users))
    candidates[np.arange(len(users)), place] = came_next
    candidates = candidates.astype(np.int32)
    return candidates, features.fused_at(users, candidates)
