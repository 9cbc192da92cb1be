"""Scores of a ranker for users it was not fitted on, and its gain over the sum."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.ranker.lambdamart import RankerConfig, TrainingData, fit_ranker


def fit_and_hold_out(
    learned: TrainingData, config: RankerConfig
) -> tuple[str, NDArray[np.float64]]:
    """Return the ranker as text, and the held-out scores ``[l]``; see `held_out_scores`.

    The ranker takes about as long as the two halves: it is fitted beside them. Threads of one fit
    wait for each other many times a second, which costs most where other work takes a core.
    """
    n_threads = max(1, (os.cpu_count() or 1) // 2)
    with ThreadPoolExecutor(1) as pool:
        whole = pool.submit(fit_ranker, learned, config, n_threads=n_threads)
        scores = held_out_scores(learned, config, n_threads=n_threads)
        return whole.result().model_to_string(), scores


def held_out_scores(
    learned: TrainingData, config: RankerConfig, *, n_threads: int | None = None
) -> NDArray[np.float64]:
    """Return scores ``[l]``, each by a ranker that was fitted on the other half of the users."""
    rng = np.random.default_rng(config.seed)
    half = rng.permutation(int(learned.users.max()) + 1)[learned.users] % 2 == 0
    scores = np.empty(len(learned.labels))
    for chosen in (half, ~half):
        if chosen.all() or not chosen.any():
            return np.zeros(len(learned.labels))
        model = fit_ranker(learned.lists(~chosen), config, n_threads=n_threads)
        found = model.predict(learned.lists(chosen).rows, num_threads=n_threads or 0)
        scores[np.repeat(chosen, learned.groups)] = np.asarray(found, np.float64)
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
