"""The search for the weights of the fusion, on events that the sources never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import columns_of, side_by_side
from rag_rec.retrieval.stacked import StackedSources
from rag_rec.retrieval.weighting.proposals import Proposals, best_items
from rag_rec.retrieval.weighting.weights import REPLAY, Weighting

_REPLAYS = (-3.0, 0.01, 3.0, 30.0, 300.0)
_FIRST = (0.05, 0.2, 0.8)
_STEPS = (2.0, 2**0.5, 2**0.25)
_ROUNDS = 8
_OTHERS = 1 / 64


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """Limits of the search.

    Attributes:
        enabled: False keeps the given weights.
        min_events: Events to predict below which the given weights are kept.
        events: Events that are predicted at most, drawn at random.
        decays: Decays of the history that are tried.
        depth: A next event counts, by ndcg, when it is among so many best items.
        gain: Relative improvement that a change must bring to be kept.
        doubt: Standard errors of the improvement that it must bring besides; this holds the
            weights of small logs to those they began with.
        seed: Of the draw.
    """

    enabled: bool = True
    min_events: int = 50
    events: int = 4_000
    decays: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
    depth: int = 100
    gain: float = 0.002
    doubt: float = 0.5
    seed: int = 0


def search_weights(
    sources: StackedSources,
    past: Histories,
    came_next: NDArray[np.int32],
    start: Weighting,
    config: SearchConfig,
) -> Weighting:
    """Search the best weighting: decay, then one weight at a time, then the history's own.

    The climb begins at the best of the given weights and of each source nearly alone. The
    history's own may be negative: then what a user had comes after everything else.

    Args:
        sources: At weight 1, fitted without the events that are to be predicted.
        past: Events before them, one row an event.
        came_next: The events.
        start: Where the search begins.
        config: Its limits.
    """
    asked = np.flatnonzero((past.lengths > 0) & (came_next >= 0))
    if not config.enabled or len(asked) < config.min_events:
        return start
    rng = np.random.default_rng(config.seed)
    asked = np.sort(rng.permutation(asked)[: config.events])
    users, wanted = past.take(asked), came_next[asked]
    # an event of an item that the user had says nothing of lists without such items
    fresh = np.flatnonzero(columns_of(users.weights(None), wanted[:, None])[:, 0] == 0)
    best, proposals = _Best(config, start), None
    matrices = {name: sources.matrix(name) for name in sources.names}
    for decay in sorted(config.decays, key=lambda decay: decay != start.decay):
        weighted = users.take(fresh).weights(decay)
        said = _said(matrices, weighted)
        lists = best_items(said, weighted, config.depth)
        proposed = Proposals.of(said, wanted[fresh], lists, config.depth)
        for weights in (start.sources, *_alone(start.sources, proposed.names)):
            if best.take(replace(start, sources=weights, decay=decay), proposed.ndcg(weights)):
                proposals = proposed
    if proposals is not None:
        best.climb(proposals, proposals.names)
    return _with_replay(matrices, users, wanted, best, config)


def _with_replay(
    matrices: Mapping[str, sparse.csr_array],
    users: Histories,
    came_next: NDArray[np.int32],
    best: _Best,
    config: SearchConfig,
) -> Weighting:
    found = best.weighting
    said = _said(matrices, users.weights(found.decay))
    lists = best_items(said, None, config.depth)
    again, proposals = _Best(config, found), None
    for decay in sorted(config.decays, key=lambda decay: decay != found.replay_decay):
        history = users.repeated(decay) * np.float32(np.sqrt(users.n_items))
        own = {REPLAY: history}
        both = [*lists, *best_items(own, None, config.depth)]
        proposed = Proposals.of(said | own, came_next, both, config.depth)
        for replay in (found.replay, *_REPLAYS):
            trial = replace(found, replay=replay, replay_decay=decay)
            if again.take(trial, proposed.ndcg({**found.sources, REPLAY: replay})):
                proposals = proposed
    if proposals is not None:
        again.climb(proposals, (REPLAY,))
    return again.weighting


def _said(
    matrices: Mapping[str, sparse.csr_array], weights: sparse.csr_array
) -> dict[str, sparse.csr_array]:
    some = list(matrices.values())
    said = side_by_side(lambda at: sparse.csr_array(weights @ some[at]), range(len(some)))
    return dict(zip(matrices, said, strict=True))


def _alone(weights: Mapping[str, float], names: Sequence[str]) -> list[dict[str, float]]:
    """Return weights under which each source outweighs the others by far."""
    return [
        {name: 1.0 if name == one else weight * _OTHERS for name, weight in weights.items()}
        for one in names
    ]


class _Best:
    """The best weighting so far, and the ndcg that it gives each user."""

    def __init__(self, config: SearchConfig, start: Weighting) -> None:
        self.weighting = start
        self._config = config
        self._ndcg: NDArray[np.float64] | None = None

    def take(self, weighting: Weighting, ndcg: NDArray[np.float64]) -> bool:
        """Take over a weighting that is better by more than its doubt."""
        if not len(ndcg):
            return False
        if self._ndcg is not None:
            gain = ndcg - self._ndcg
            doubt = self._config.doubt * gain.std() / np.sqrt(len(gain))
            if gain.mean() <= max(self._config.gain * self._ndcg.mean(), doubt):
                return False
        self.weighting, self._ndcg = weighting, ndcg
        return True

    def climb(self, proposals: Proposals, names: Sequence[str]) -> None:
        """Multiply and divide one weight after the other while that helps, by smaller steps."""
        for step in _STEPS:
            for _ in range(_ROUNDS):
                moved = [self._move(proposals, name, step) for name in names]
                if not any(moved):
                    break

    def _move(self, proposals: Proposals, name: str, step: float) -> bool:
        now = self.weighting
        weights = {**now.sources, REPLAY: now.replay}
        for value in _near(weights[name], step):
            trial = {**weights, name: value}
            sources = {name: trial[name] for name in now.sources}
            if self.take(
                replace(now, sources=sources, replay=trial[REPLAY]), proposals.ndcg(trial)
            ):
                return True
        return False


def _near(weight: float, step: float) -> tuple[float, ...]:
    """Return the values to try instead of a weight; 0 has no neighbours."""
    return (weight * step, weight / step) if weight else _FIRST
