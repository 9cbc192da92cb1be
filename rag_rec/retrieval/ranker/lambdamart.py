"""The ranker: LambdaMART over the best candidates of the fused sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.index import reading
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.queries import QueryBatch
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import Floats
from rag_rec.retrieval.stacked import ItemScores
from rag_rec.retrieval.weighting.weights import REPLAY

if TYPE_CHECKING:
    from lightgbm import Booster


@dataclass(frozen=True, slots=True)
class NewItems:
    """Room that the ranker grants items without events.

    Attributes:
        places: Ranked candidates that are the best of them.
        bonus: Added to their scores.
    """

    places: int = 0
    bonus: float = 0.0


Ranked = tuple[NDArray[np.int32], NDArray[np.float64]]
"""Items and their scores, best first."""


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """LambdaMART (Burges 2010, MSR-TR-2010-82) as LightGBM fits it.

    Attributes:
        enabled: False to order by the sum of the sources.
        min_lists: Users' next events among their candidates that a ranker is learned from at
            least.
        max_users: Users that are learned from at most, for each of the two held-out events.
        depth: Best fused candidates that are ranked again.
        new_places: How many of them are the best items without events, in a catalog that has
            enough of those.
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
    min_lists: int = 1_000
    max_users: int = 25_000
    depth: int = 100
    new_places: int = 20
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
        """Return the settings as LightGBM's parameters."""
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
class TrainingData:
    """Candidates with their features, and the ones that came next.

    Attributes:
        rows: ``float32 [l, features]``.
        labels: ``int8 [l]``, 1 for the item that came next.
        groups: Candidates of each list, summing to ``l``.
        users: ``int64 [lists]``, the user of each list.
        names: Names of the features.
    """

    rows: Floats
    labels: NDArray[np.int8]
    groups: NDArray[np.int64]
    users: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def joined(cls, parts: Sequence[TrainingData]) -> TrainingData:
        """Return several parts, at least one, as one."""
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.groups for part in parts]),
            np.concatenate([part.users for part in parts]),
            parts[0].names,
        )

    def column(self, name: str) -> Floats:
        """Return one feature of every candidate."""
        return self.rows[:, self.names.index(name)]

    def lists(self, chosen: NDArray[np.bool_]) -> TrainingData:
        """Return some of the lists."""
        rows = np.repeat(chosen, self.groups)
        return TrainingData(
            self.rows[rows], self.labels[rows], self.groups[chosen], self.users[chosen], self.names
        )


def fit_ranker(
    learned: TrainingData, config: RankerConfig, *, n_threads: int | None = None
) -> Booster:
    """Return the fitted model; it is the same for any number of threads, all by default."""
    import lightgbm  # takes a second

    data = lightgbm.Dataset(
        learned.rows,
        learned.labels,
        group=learned.groups,
        feature_name=list(learned.names),
        params={"verbose": -1},
    )
    threads = {"num_threads": n_threads} if n_threads else {}
    return lightgbm.train(config.parameters() | threads, data, config.rounds)


class Ranker:
    """A fitted model and the features it reads.

    Args:
        path: LightGBM's text; read at first use.
        features: Must be fitted on the data the ranker serves.
        depth: Best fused candidates that are ranked again.
        new: Places and bonus of items without events.
    """

    def __init__(
        self, path: Path, features: Features, depth: int, new: NewItems | None = None
    ) -> None:
        self._path = path
        self._features = features
        self.depth = depth
        self.new = new or NewItems()
        self.is_new = features.is_new

    @property
    def features(self) -> Features:
        """The features it reads."""
        return self._features

    def reading(self, features: Features, new: NewItems) -> Ranker:
        """Return the same ranker with other features, and other room for new items."""
        other = copy(self)
        other._features, other.is_new, other.new = features, features.is_new, new
        return other

    @cached_property
    def _model(self) -> Booster:
        import lightgbm  # takes a second

        with reading(self._path):
            return lightgbm.Booster(model_str=self._path.read_text(encoding="utf-8"))

    def scores(
        self, users: Histories, candidates: NDArray[np.int32], fused: Floats | None = None
    ) -> NDArray[np.float64]:
        """Return a score of each candidate, ``[b, c]``; for the arguments see `Features`."""
        if fused is None:
            fused = self._features.fused_at(users, candidates)
        found = self._features(users, candidates, fused)
        rows = np.stack([found[name] for name in self._model.feature_name()], axis=2)
        # callers work on several batches side by side; threads of one would wait for each other
        scores = self._model.predict(rows.reshape(-1, rows.shape[2]), num_threads=1)
        scores = np.asarray(scores, np.float64).reshape(candidates.shape)
        return scores + self.new.bonus * self.is_new[candidates]


def rank_again(
    ranker: Ranker | None, batch: QueryBatch, fused: Sequence[ItemScores]
) -> list[Ranked]:
    """Return the best candidates in the ranker's order, the others after them.

    A ranked candidate's score is its odds against the best one, above all that are not ranked.
    Items of the history that may be listed again keep their places and all places their scores.
    Users without a history, and those with plain words about them, keep the order of the sum.
    """
    results = [(items, scores.astype(np.float64)) for items, scores in fused]
    if ranker is None:
        return results
    unseen = {
        row: _unseen(items, own if batch.extra[row] else own[:0])[: ranker.depth]
        for row, (items, _) in enumerate(fused)
        if len(own := batch.users.row(row)) and batch.extra[row].keys() <= {REPLAY}
    }
    rows = [row for row, places in unseen.items() if len(places)]
    if not rows:
        return results
    candidates = np.full((len(rows), ranker.depth), -1, np.int32)
    values = np.zeros((len(rows), ranker.depth), np.float32)
    for at, row in enumerate(rows):
        items, scores = fused[row]
        n = len(unseen[row])
        candidates[at, :n], values[at, :n] = items[unseen[row]], scores[unseen[row]]
    found = ranker.scores(batch.users.take(np.array(rows)), candidates, values)
    for at, row in enumerate(rows):
        places = unseen[row]
        if batch.extra[row]:
            order = np.argsort(-found[at, : len(places)], kind="stable")
            results[row][0][places] = results[row][0][places][order]
        else:
            results[row] = _merged(results[row], found[at, : len(places)])
    return results


def _unseen(items: NDArray[np.int32], seen: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.flatnonzero(~np.isin(items, seen)) if len(seen) else np.arange(len(items))


def _merged(fused: Ranked, found: NDArray[np.float64]) -> Ranked:
    items, scores = fused
    n = len(found)
    order = np.argsort(-found, kind="stable")
    below = scores[n] if len(scores) > n else 0.0
    odds = below + np.exp(found[order] - found[order[0]])
    return np.concatenate([items[order], items[n:]]), np.concatenate([odds, scores[n:]])
