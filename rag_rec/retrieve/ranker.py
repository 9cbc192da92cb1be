"""The ranker: LambdaMART over the best candidates of the fused sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieve.evidence import best
from rag_rec.retrieve.features import Features
from rag_rec.retrieve.histories import Histories
from rag_rec.retrieve.matrices import columns_of, row_of
from rag_rec.retrieve.stats import Floats

if TYPE_CHECKING:
    from lightgbm import Booster

_BATCH = 256


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """LambdaMART (Burges 2010, MSR-TR-2010-82) as LightGBM fits it.

    Attributes:
        enabled: Whether it may be used at all.
        min_users: Users with `min_events` events that a log must have for it to be used.
        min_events: See `min_users`.
        max_users: Users that are learned from at most, for each of the two held-out events.
        depth: Best fused candidates that are ranked again.
        rounds: Trees.
        learning_rate: Shrinkage of a tree.
        leaves: Leaves of a tree.
        min_leaf: Candidates in a leaf.
        feature_share: Features a tree sees.
        user_share: Candidates a tree sees.
        ridge: L2 regularisation of leaf values.
        truncation: Top places whose order counts.
        seed: Of the two shares.
    """

    enabled: bool = True
    min_users: int = 2_000
    min_events: int = 5
    max_users: int = 25_000
    depth: int = 100
    rounds: int = 200
    learning_rate: float = 0.05
    leaves: int = 31
    min_leaf: int = 100
    feature_share: float = 0.5
    user_share: float = 0.8
    ridge: float = 5.0
    truncation: int = 30
    seed: int = 1

    def parameters(self) -> dict[str, Any]:
        """The same in LightGBM's words."""
        return {
            "objective": "lambdarank", "metric": "None", "learning_rate": self.learning_rate,
            "num_leaves": self.leaves, "min_data_in_leaf": self.min_leaf,
            "feature_fraction": self.feature_share, "bagging_fraction": self.user_share,
            "bagging_freq": 1, "lambda_l2": self.ridge,
            "lambdarank_truncation_level": self.truncation, "seed": self.seed,
            "deterministic": True, "force_row_wise": True, "verbose": -1,
            "num_threads": os.cpu_count() or 1,
        }  # fmt: skip


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


Propose = Callable[
    [Features, Histories, NDArray[np.int32], RankerConfig], tuple[NDArray[np.int32], Floats]
]
"""Candidates ``[b, c]`` for users, whose next events are given, and their fused scores."""


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


def fit_ranker(learned: Lessons, config: RankerConfig) -> str:
    """The fitted model as LightGBM's text."""
    import lightgbm  # takes a second

    data = lightgbm.Dataset(
        learned.rows,
        learned.labels,
        group=learned.groups,
        feature_name=list(learned.names),
        params={"verbose": -1},
    )
    booster = lightgbm.train(config.parameters(), data, config.rounds)
    return booster.model_to_string()


class Ranker:
    """A fitted model and the features it reads.

    Args:
        path: LightGBM's text; read at first use.
        features: Must be fitted on the data the ranker serves.
        depth: Best fused candidates that are ranked again.
    """

    def __init__(self, path: Path, features: Features, depth: int) -> None:
        self._path = path
        self._features = features
        self.depth = depth

    @cached_property
    def _model(self) -> Booster:
        import lightgbm  # takes a second

        return lightgbm.Booster(model_str=self._path.read_text(encoding="utf-8"))

    def given(self, users: Histories, candidates: NDArray[np.int32]) -> NDArray[np.float64]:
        """Score of each given candidate, ``[b, c]``."""
        return self.scores(users, candidates, fused_at(self._features, users, candidates))

    def scores(
        self, users: Histories, candidates: NDArray[np.int32], fused: Floats
    ) -> NDArray[np.float64]:
        """Score of each candidate, ``[b, c]``; for the arguments see `Features`."""
        found = self._features(users, candidates, fused)
        rows = np.stack([found[name] for name in self._model.feature_name()], axis=2)
        scores = self._model.predict(rows.reshape(-1, rows.shape[2]))
        return np.asarray(scores, np.float64).reshape(candidates.shape)
