"""The ranker's order put in place of the weighted sum's, for the users it has learned about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.fusion.provenance import Scores
from rag_rec.retrieval.fusion.queries import Asked
from rag_rec.retrieval.ranker.lambdamart import Ranker

Ranked = tuple[NDArray[np.int32], NDArray[np.float64]]
"""Items and their scores, best first."""


def rank_again(ranker: Ranker | None, asked: Asked, fused: Sequence[Scores]) -> list[Ranked]:
    """The best candidates in the ranker's order, the others after them.

    A ranked candidate's score is its odds against the best one, above all that are not ranked.
    """
    results = [(items, scores.astype(np.float64)) for items, scores in fused]
    rows = [row for row in range(len(fused)) if _is_ranked(asked, fused, row)]
    if ranker is None or not rows:
        return results
    candidates = np.full((len(rows), ranker.depth), -1, np.int32)
    values = np.zeros((len(rows), ranker.depth), np.float32)
    for at, row in enumerate(rows):
        items, scores = fused[row]
        n = min(ranker.depth, len(items))
        candidates[at, :n], values[at, :n] = items[:n], scores[:n]
    found = ranker.scores(asked.users.take(np.array(rows)), candidates, values)
    for at, row in enumerate(rows):
        results[row] = _merged(results[row], found[at, : len(fused[row][0])])
    return results


def _is_ranked(asked: Asked, fused: Sequence[Scores], row: int) -> bool:
    return bool(len(fused[row][0]) and len(asked.users.row(row)) and not asked.extra[row])


def _merged(fused: Ranked, found: NDArray[np.float64]) -> Ranked:
    items, scores = fused
    n = len(found)
    order = np.argsort(-found, kind="stable")
    below = scores[n] if len(scores) > n else 0.0
    odds = below + np.exp(found[order] - found[order[0]])
    return np.concatenate([items[order], items[n:]]), np.concatenate([odds, scores[n:]])
