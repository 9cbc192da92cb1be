"""Metrics of rankings with one right answer a user."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ranks = NDArray[np.int64]

MISSED = np.iinfo(np.int64).max
"""Rank of a target that is not in the ranking."""


def ranks_of(rankings: NDArray[np.int32], targets: NDArray[np.int32]) -> Ranks:
    """Rank from 1 of each user's target in the ranking ``[u, k]``; `MISSED` if it is not there.

    >>> ranks_of(np.array([[3, 1], [2, 4]], np.int32), np.array([1, 3], np.int32))[0]
    np.int64(2)
    """
    hits = rankings == targets[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, MISSED)


def recall(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """1 for each user whose target is among the first ``k``, else 0; also called hit rate."""
    return (ranks <= k).astype(np.float64)


def ndcg(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """``1 / log2(1 + rank)`` of each user's target if it is among the first ``k``, else 0.

    With one relevant item the ideal gain is 1, so this is normalised.
    """
    return np.where(ranks <= k, 1 / np.log2(1 + ranks.astype(np.float64)), 0.0)


def standard_error(values: NDArray[np.float64], *, resamples: int = 200, seed: int = 0) -> float:
    """Standard error of a mean by bootstrap over users (Efron 1979)."""
    if not len(values):
        return float("nan")
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)]
    return float(np.std(means))
