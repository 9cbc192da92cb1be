"""Learning the fusion from the last two events of every user: weights first, then the ranker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.base import Matrices, fit_all
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.fusion.fitted import RANKER, RANKER_OF_GIVEN, save_stats
from rag_rec.retrieval.fusion.new_items import (
    NextEvents,
    granted,
    share_of_new,
    with_new_items,
)
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.held_out import fit_and_hold_out, gain_over_sum
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.ranker.lambdamart import (
    NewItems,
    RankerConfig,
    TrainingData,
    fit_ranker,
)
from rag_rec.retrieval.ranker.training_data import (
    Sampler,
    sample_best,
    sample_random,
    training_data,
)
from rag_rec.retrieval.stacked import StackedSources
from rag_rec.retrieval.weighting.search import search_weights
from rag_rec.retrieval.weighting.weights import Weighting


@dataclass(frozen=True, slots=True)
class Fusion:
    """The way the sources are put together.

    Attributes:
        kind: ``ranker``, ``learned weights`` or ``given weights``.
        why: Why it is that.
        weighting: The weights of the sum.
        new: What the ranker grants items without events.
    """

    kind: str
    why: str
    weighting: Weighting
    new: NewItems = field(default_factory=NewItems)


def fit_fusion(
    data: FitData, given: Matrices, views: Matrices, config: RetrievalConfig, folder: Path
) -> Fusion:
    """Choose the weights, and fit the ranker where it beats the sum for users it has not seen.

    The sources it learns from have seen neither of anybody's last two events.

    Args:
        data: The log and the catalog.
        given: The matrices that do not depend on the log, and the views.
        views: The views of the sources.
        config: How to learn.
        folder: Receives the ranker.
    """
    start = Weighting({source.name: source.weight for source in config.sources})
    events = [_next(data, n_hidden, config.ranker) for n_hidden in (1, 2)]
    n_events = sum(len(part.came_next) for part in events)
    few = f"{n_events} events to learn from, {config.search.min_events} needed"
    if n_events < config.search.min_events:
        return Fusion("given weights", few, start)
    if not (config.search.enabled or config.ranker.enabled):
        return Fusion("given weights", "learning is switched off", start)
    before = with_new_items(data, data.without_last(2), config.search.seed)
    matrices = fit_all(config.sources, before, given)
    unweighted = StackedSources(matrices, dict.fromkeys(start.sources, 1.0))
    weighting = search_weights(unweighted, *_joined(events), start, config.search)
    kind = "learned weights" if config.search.enabled else "given weights"
    if not config.ranker.enabled:
        return Fusion(kind, "the ranker is switched off", weighting)
    features = _features(before, matrices, views, weighting, config)
    why, new = _fit_rankers(data, features, events, config, folder)
    if new is None:
        return Fusion(kind, why, weighting)
    save_stats(folder, ItemStats.fit(data), views)
    return Fusion("ranker", why, weighting, new)


def _features(
    before: FitData,
    matrices: Matrices,
    views: Matrices,
    weighting: Weighting,
    config: RetrievalConfig,
) -> Features:
    # those of the log come first: columns keep their order, which LightGBM's sampling depends on
    ordered = sorted(config.sources, key=lambda source: not source.uses_log)
    return Features(
        StackedSources(matrices, weighting.sources),
        {source.name: source.features for source in ordered},
        stats=ItemStats.fit(before),
        views=views,
        vectors=np.asarray(before.item_vectors),
        decay=weighting.decay,
    )


def _fit_rankers(
    data: FitData,
    features: Features,
    events: Sequence[NextEvents],
    config: RetrievalConfig,
    folder: Path,
) -> tuple[str, NewItems | None]:
    """Fit the ranker, and that of given candidates, and write them.

    Returns:
        Why there is a ranker or none, and what it grants new items; None where there is none.
    """
    wanted = config.ranker if share_of_new(data) else replace(config.ranker, new_places=0)
    learned = _lists(features, events, wanted, sample_best)
    n_lists = 0 if learned is None else len(learned.groups)
    if learned is None or n_lists < wanted.min_lists:
        why = f"{n_lists} next events among the candidates, a ranker needs {wanted.min_lists}"
        return why, None
    model, scores = fit_and_hold_out(learned, wanted)
    gain, doubt = gain_over_sum(learned, scores)
    why = f"ndcg of {n_lists} held-out lists against the sum: {gain:+.4f} ± {doubt:.4f}"
    if gain <= doubt:
        return why, None
    (folder / RANKER).write_text(model, encoding="utf-8")
    if config.given is not None:
        of_given = _lists(features, events, config.given, sample_random)
        if of_given is not None:
            text = fit_ranker(of_given, config.given).model_to_string()
            (folder / RANKER_OF_GIVEN).write_text(text, encoding="utf-8")
    if not wanted.new_places:
        return why, NewItems()
    return why, granted(learned, scores, features, events, wanted.new_places)


def _next(data: FitData, n_hidden: int, config: RankerConfig) -> NextEvents:
    """Return users' events before their ``n_hidden`` last ones, and the event that came next."""
    long = np.flatnonzero(data.log.lengths > n_hidden)
    if len(long) > config.max_users:
        rng = np.random.default_rng(config.seed)
        long = np.sort(rng.choice(long, config.max_users, replace=False))
    past = data.log.without_last(n_hidden).take(long)
    return NextEvents(past, data.log.items[data.log.starts[1:][long] - n_hidden], long)


def _joined(events: Sequence[NextEvents]) -> tuple[Histories, NDArray[np.int32]]:
    rows = [part.past.row(at) for part in events for at in range(len(part.past))]
    came_next = np.concatenate([part.came_next for part in events])
    return Histories.of(rows, events[0].past.n_items), came_next


def _lists(
    features: Features, events: Sequence[NextEvents], config: RankerConfig, sample: Sampler
) -> TrainingData | None:
    """Return the candidates of users' next events; None if no candidate ever came next."""
    parts = [
        replace(part, users=users[part.users])
        for past, came_next, users in events
        for part in training_data(features, past, came_next, config=config, sample=sample)
    ]
    return TrainingData.joined(parts) if parts else None
