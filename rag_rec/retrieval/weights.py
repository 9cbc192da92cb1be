"""Choosing the fusion's weights and decay: a coordinate search on events the sources never saw."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.stacked import StackedSources

REPLAY = "history"
"""The history itself, a source for users whose items may be listed again."""

_START_REPLAY = 0.3


@dataclass(frozen=True, slots=True)
class Weighting:
    """Weights of the sum of the sources.

    Attributes:
        sources: Weight of each source, each scaled to unit standard deviation.
        decay: An event of the history counts for 1/e less for every so many events after it.
        replay: Weight of the history itself where its items may be listed again, as an identity
            matrix scaled like the sources.
    """

    sources: Mapping[str, float]
    decay: float = 2.0
    replay: float = _START_REPLAY


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """Limits of the search.

    Attributes:
        seconds: No further trial is started after these; 0 keeps the given weights.
        users: Users whose next event is predicted, drawn at random.
        decays: Decays of the history that are tried.
        depth: A next event counts, by ndcg, when it is among so many best items.
        gain: Relative improvement that a change must bring to be kept.
        seed: Of the draw.
    """

    seconds: float = 45.0
    users: int = 2_000
    decays: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    depth: int = 100
    gain: float = 0.002
    seed: int = 0


def search_weights(
    sources: StackedSources,
    past: Histories,
    came_next: NDArray[np.int32],
    start: Weighting,
    config: SearchConfig,
) -> Weighting:
    """Search the best weighting: decay first, then one weight at a time, then the replay's.

    Args:
        sources: Fitted without the events that are to be predicted.
        past: Events before them, one row a user.
        came_next: The event that followed, one a user.
        start: Where the search begins.
        config: Limits of time and users.
    """
    users = np.flatnonzero(past.lengths > 0)
    rng = np.random.default_rng(config.seed)
    users = np.sort(rng.permutation(users)[: config.users])
    end = time.monotonic() + config.seconds
    trials = _Trials(sources, past.take(users), came_next[users], config, end)
    decay, scores = trials.best_decay(start)
    weights = trials.climb(scores, start.sources, scores.names)
    again = trials.scores(decay, masked=False)
    replay = trials.climb(again, {**weights, REPLAY: start.replay}, (REPLAY,))[REPLAY]
    return Weighting(weights, decay, replay)


@dataclass(frozen=True, slots=True)
class _Trials:
    """Users, their next events, and the time until which weightings may be tried."""

    sources: StackedSources
    users: Histories
    came_next: NDArray[np.int32]
    config: SearchConfig
    end: float

    @property
    def in_time(self) -> bool:
        return time.monotonic() < self.end

    def best_decay(self, start: Weighting) -> tuple[float, _Scores]:
        best, found, value = start.decay, self.scores(start.decay), -1.0
        for decay in self.config.decays:
            if not self.in_time:
                break
            scores = self.scores(decay)
            reached = scores.value(start.sources)
            if reached > value:
                best, found, value = decay, scores, reached
        return best, found

    def climb(
        self, scores: _Scores, start: Mapping[str, float], names: Sequence[str]
    ) -> dict[str, float]:
        """Multiply and divide one weight after the other while that helps, by smaller steps."""
        weights, value, step = dict(start), scores.value(start), 2.0
        while step > 1.2 and self.in_time:
            moved = False
            for name in names:
                for factor in (step, 1 / step):
                    trial = {**weights, name: weights[name] * factor}
                    reached = scores.value(trial) if self.in_time else value
                    if reached > value * (1 + self.config.gain):
                        weights, value, moved = trial, reached, True
                        break
            step = step if moved else step**0.5
        return weights

    def scores(self, decay: float, *, masked: bool = True) -> _Scores:
        """Return scores under one decay, without the history's own items where ``masked``."""
        sources, n = self.sources, self.sources.n_items
        weights = self.users.weights(decay)
        said = sparse.coo_array(weights @ sources.stacked)
        source, item = np.divmod(said.col, n)
        keys = said.row.astype(np.int64) * n + item
        own = weights.tocoo()
        seen = own.row.astype(np.int64) * n + own.col
        if masked:
            kept = ~np.isin(keys, seen)
            keys, source, values = keys[kept], source[kept], said.data[kept]
        else:
            replayed = own.data * np.float32(np.sqrt(n))
            keys = np.concatenate([keys, seen])
            source = np.concatenate([source, np.full(len(seen), len(sources.names))])
            values = np.concatenate([said.data, replayed])
        pairs, place = np.unique(keys, return_inverse=True)
        names = sources.names if masked else (*sources.names, REPLAY)
        table = np.zeros((len(pairs), len(names)), np.float32)
        table[place, source] = values
        table[:, : len(sources.names)] /= [sources.weights[name] for name in sources.names]
        wanted = np.arange(len(self.users)) * n + self.came_next
        at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        found = np.where(pairs[at] == wanted, at, -1)
        return _Scores(names, table, pairs // n, found, self.config.depth)


@dataclass(frozen=True, slots=True)
class _Scores:
    """Scores by each source, at weight 1, of every item that any of them proposes to a user.

    Attributes:
        names: The sources ``s``.
        values: ``float32 [e, s]``, one row for each user and item.
        owner: ``int64 [e]``, ascending, the user.
        wanted: ``int64 [u]``, the row of the user's next item, -1 where no source proposes it.
        depth: Best items among which it counts.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    owner: NDArray[np.int64]
    wanted: NDArray[np.int64]
    depth: int

    def value(self, weights: Mapping[str, float]) -> float:
        """Return the mean ndcg of the next items; a tie counts against them."""
        total = self.values @ np.array([weights[name] for name in self.names], np.float32)
        n_users = len(self.wanted)
        own = np.where(self.wanted >= 0, total[self.wanted], np.float32(0))
        above = np.bincount(self.owner, total >= own[self.owner], n_users)
        good = (own > 0) & (above <= self.depth)
        return float(np.where(good, 1 / np.log2(above + 1), 0).mean())
