"""What a ranker learns from: users' next events among the candidates proposed to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.ranker.candidate_sampling import Propose
from rag_rec.retrieval.ranker.config import RankerConfig
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import Floats

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Lessons:
    """Candidates with their features and which of them came next.

    Attributes:
        rows: ``float32 [l, features]``.
        labels: ``int8 [l]``, 1 for the item that came next.
        groups: Candidates of each user, summing to ``l``.
        names: Names of the features.
    """

    rows: Floats
    labels: NDArray[np.int8]
    groups: NDArray[np.int64]
    names: tuple[str, ...]


def lessons(
    features: Features,
    past: Histories,
    came_next: NDArray[np.int32],
    *,
    config: RankerConfig,
    propose: Propose,
) -> Lessons | None:
    """What there is to learn from users' next events; None if no candidate ever came next.

    Args:
        features: Fitted without the events that are to be predicted.
        past: Events before them, one row a user.
        came_next: The event that followed, one a user.
        config: How many users and candidates.
        propose: Where the candidates come from.
    """
    users = np.flatnonzero(past.lengths > 0)
    if len(users) > config.max_users:
        rng = np.random.default_rng(config.seed)
        users = np.sort(rng.choice(users, config.max_users, replace=False))
    parts: list[Lessons] = []
    for start in range(0, len(users), _BATCH):
        some = users[start : start + _BATCH]
        batch, target = past.take(some), came_next[some]
        candidates, scores = propose(features, batch, target, config)
        taught = np.flatnonzero((candidates == target[:, None]).any(axis=1))
        if len(taught):
            part = features(batch.take(taught), candidates[taught], scores[taught])
            parts.append(_lesson(part, candidates[taught], target[taught]))
    return joined(parts) if parts else None


def _lesson(
    found: dict[str, Floats], candidates: NDArray[np.int32], target: NDArray[np.int32]
) -> Lessons:
    real = candidates >= 0
    return Lessons(
        rows=np.stack(list(found.values()), axis=2)[real],
        labels=(candidates == target[:, None])[real].astype(np.int8),
        groups=real.sum(axis=1),
        names=tuple(found),
    )


def joined(parts: Sequence[Lessons]) -> Lessons:
    """Several lessons as one."""
    return Lessons(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.groups for part in parts]),
        parts[0].names,
    )
