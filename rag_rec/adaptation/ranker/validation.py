"""Validation of a ranker: its order blended with retrieval's, against retrieval's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rag_rec.adaptation.ranker.examples import RankingExample

DEPTH = 10
WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))
EQUAL = 0.5
"""The weight at which a model's shares and retrieval's count as they did in training."""

Floats = NDArray[np.float64]


def ndcg(example: RankingExample, scores: NDArray[np.float32], weight: float) -> float:
    """Return NDCG@10 of one list, ordered by scores and prior; see `blended_scores`.

    Args:
        example: The list.
        scores: ``float32 [n]``, the model's score of each label.
        weight: The model's share.
    """
    shares = scores - np.logaddexp.reduce(scores)
    total = weight * shares + (1 - weight) * example.prior
    own, places = total[example.target], np.array(example.places)
    ahead = (total > own) | ((total == own) & (places < places[example.target]))
    rank = 1 + int(ahead.sum())
    return 1 / np.log2(rank + 1) if rank <= DEPTH else 0.0


def ndcg_table(examples: Sequence[RankingExample], scores: Sequence[NDArray[np.float32]]) -> Floats:
    """Return NDCG@10 by weight and list, ``float64 [weights, lists]``; weight 0 is retrieval."""
    return np.array([
        [ndcg(one, found, weight) for one, found in zip(examples, scores, strict=True)]
        for weight in WEIGHTS
    ])  # fmt: skip


def best_weight(table: Floats) -> float:
    """Return the weight with the best mean; 0 unless it gains more than one standard error."""
    at = int(table.mean(axis=1).argmax())
    gain = table[at] - table[0]
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
    return WEIGHTS[at] if at and gain.mean() > error else 0.0
