"""Scores of a ranker for users it was not fitted on, and its gain over the sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.ranker.lambdamart import RankerConfig, TrainingData, fit_ranker


def held_out_scores(learned: TrainingData, config: RankerConfig) -> NDArray[np.float64]:
    """Return scores ``[l]``, each by a ranker that was fitted on the other half of the users."""
    rng = np.random.default_rng(config.seed)
    half = rng.permutation(int(learned.users.max()) + 1)[learned.users] % 2 == 0
    scores = np.empty(len(learned.labels))
    for chosen in (half, ~half):
        if chosen.all() or not chosen.any():
            return np.zeros(len(learned.labels))
        model = fit_ranker(learned.lists(~chosen), config)
        scores[np.repeat(chosen, learned.groups)] = np.asarray(
            model.predict(learned.lists(chosen).rows), np.float64
        )
    return scores


def ranks_of_next(learned: TrainingData, scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the rank from 1, ``[lists]``, of the item that came next; a tie counts against it."""
    starts = np.cumsum(learned.groups) - learned.groups
    own = np.repeat(scores[learned.labels == 1], learned.groups)
    return np.add.reduceat((scores >= own).astype(np.int64), starts)


def gain_over_sum(learned: TrainingData, scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean gain in ndcg of scores over the fused ones, and its standard error."""
    found, before = (
        1 / np.log2(ranks_of_next(learned, values) + 1.0)
        for values in (scores, learned.column("fused"))
    )
    gain = found - before
    return float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))
