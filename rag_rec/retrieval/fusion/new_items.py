"""Items without events: made while the fusion learns, and granted what they need to be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import columns_of, row_of, rows_times
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.held_out import ranks_of_next
from rag_rec.retrieval.ranker.lambdamart import NewItems, TrainingData


class NextEvents(NamedTuple):
    """Events to predict, one a row.

    Attributes:
        past: The events before each.
        came_next: The item of each.
        users: ``int64``, row of the user in the log.
    """

    past: Histories
    came_next: NDArray[np.int32]
    users: NDArray[np.int64]


_LEAST_SHARE, _MOST_SHARE = 0.02, 0.3
_AHEAD = 1.1
_TOP = 10
_STEP, _LARGEST = 0.1, 3.0
_BATCH = 256


def share_of_new(data: FitData) -> float:
    """Return the share of the catalog that has no events; 0 where it is too small to matter."""
    share = float((data.log.counts() == 0).mean())
    return share if share >= _LEAST_SHARE else 0.0


def with_new_items(data: FitData, before: FitData, seed: int) -> FitData:
    """Return the log to learn from with as many new items among what comes next as will be.

    Nobody knows how many of the next events will be of items that have none yet. The assumption
    is that these items are wanted as the others are. In the log that is learned from, events of
    items that have none before are rarer, so items at random lose theirs.

    Args:
        data: The whole log.
        before: The same without the events that are to be predicted.
        seed: Of the draw.
    """
    had = data.log.counts()
    came_next = had - before.log.counts()
    new_already = came_next[before.log.counts() == 0].sum() / max(came_next.sum(), 1)
    share = min(share_of_new(data), _MOST_SHARE) - float(new_already)
    if share <= 0:
        return before
    taken = np.flatnonzero(had > 0)
    rng = np.random.default_rng(seed)
    hidden = np.zeros(data.n_items, np.bool_)
    hidden[rng.choice(taken, round(share * len(taken)), replace=False)] = True
    return before.without_items(hidden)


def granted(
    learned: TrainingData,
    scores: NDArray[np.float64],
    features: Features,
    events: Sequence[NextEvents],
    places: int,
) -> NewItems:
    """Return the smallest bonus by which new items are found better than by any source alone.

    It must put a tenth more of the new items that came next among the first ten than the best
    source does (arXiv 2606.29947: a fusion must beat each of its sources on new items). Where none
    does, it is the largest that is tried, 3.

    Args:
        learned: The lists of all ``events`` in which a candidate came next.
        scores: ``[l]``, of rankers that were fitted on other users.
        features: Fitted without those events.
        events: What came next.
        places: Candidates that are new items.
    """
    is_new = learned.column("popularity") == 0
    wanted = is_new[learned.labels == 1]
    n_needed = _AHEAD * _found_by_best_source(features, events)
    bonus = 0.0
    while bonus < _LARGEST:
        ranks = ranks_of_next(learned, scores + bonus * is_new)
        if (ranks[wanted] <= _TOP).sum() >= n_needed:
            break
        bonus = round(bonus + _STEP, 1)
    return NewItems(places, bonus)


def _found_by_best_source(features: Features, events: Sequence[NextEvents]) -> float:
    """Return how many of the new items that came next the best source ranks among the first ten."""
    found = dict.fromkeys(features.sources.names, 0.0)
    for past, came_next, _ in events:
        asked = np.flatnonzero(features.is_new[came_next] & (past.lengths > 0))
        for start in range(0, len(asked), _BATCH):
            some = asked[start : start + _BATCH]
            for name in found:
                found[name] += _n_found(features, name, past.take(some), came_next[some])
    return max(found.values(), default=0.0)


def _n_found(
    features: Features, name: str, users: Histories, came_next: NDArray[np.int32]
) -> float:
    """Return the number to be expected where items of one score are in random order."""
    product = rows_times(users.weights(features.decay), features.sources.matrix(name))
    own = columns_of(product, came_next[:, None])[:, 0]
    n_found = 0.0
    for user, score in enumerate(own.tolist()):
        items, values = row_of(product, user)
        values = values[~np.isin(items, users.row(user))]
        n_above, n_level = (values > score).sum(), (values == score).sum()
        if score > 0 and n_level:
            n_found += min(1.0, max(0.0, (_TOP - n_above) / n_level))
    return n_found
