"""Learning the fusion from the last two events of every user: weights first, then the ranker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.base import Matrices, fit_all
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.fusion.fitted import RANKER, RANKER_OF_GIVEN, save_stats
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.ranker.lambdamart import RankerConfig, TrainingData, fit_ranker
from rag_rec.retrieval.ranker.training_data import (
    Sampler,
    sample_best,
    sample_random,
    training_data,
)
from rag_rec.retrieval.stacked import StackedSources
from rag_rec.retrieval.weights import Weighting, search_weights


def fit_fusion(
    data: FitData, given: Matrices, views: Matrices, config: RetrievalConfig, folder: Path
) -> tuple[dict[str, str], Weighting]:
    """Choose the weights and fit the ranker where there is enough to learn from.

    Args:
        data: The log and the catalog.
        given: The matrices that do not depend on the log, and the views.
        views: The views of the sources.
        config: How to learn.
        folder: Receives the ranker.

    Returns:
        The kind of fusion and its reason, and the weights of the sources.
    """
    wanted = config.ranker
    start = Weighting({source.name: source.weight for source in config.sources})
    n_users = int((data.log.lengths >= wanted.min_events).sum())
    why = f"{n_users} users with {wanted.min_events} or more events, {wanted.min_users} needed"
    if not wanted.enabled:
        return _unlearned("learning is switched off"), start
    if n_users < wanted.min_users:
        return _unlearned(why), start
    features, weighting = _features(data, given, views, config, start)
    model = _fitted(data, features, wanted, sample_best)
    if model is None:
        return _unlearned("no candidate ever came next"), weighting
    (folder / RANKER).write_text(model, encoding="utf-8")
    of_given = config.given and _fitted(data, features, config.given, sample_random)
    if of_given:
        (folder / RANKER_OF_GIVEN).write_text(of_given, encoding="utf-8")
    save_stats(folder, ItemStats.fit(data), views)
    return {"fusion": "ranker", "fusion_why": why}, weighting


def _unlearned(why: str) -> dict[str, str]:
    return {"fusion": "fixed weights", "fusion_why": why}


def _features(
    data: FitData, given: Matrices, views: Matrices, config: RetrievalConfig, start: Weighting
) -> tuple[Features, Weighting]:
    """Return features and weights by sources that have not seen anybody's last two events."""
    before = data.without_last(2)
    matrices = fit_all(config.sources, before, given)
    unweighted = StackedSources(matrices, start.sources)
    weighting = search_weights(unweighted, *_next(data, 1), start, config.search)
    # those of the log come first: columns keep their order, which LightGBM's sampling depends on
    ordered = sorted(config.sources, key=lambda source: not source.uses_log)
    features = Features(
        StackedSources(matrices, weighting.sources),
        {source.name: source.features for source in ordered},
        stats=ItemStats.fit(before),
        views=views,
        vectors=np.asarray(data.item_vectors),
        decay=weighting.decay,
    )
    return features, weighting


def _next(data: FitData, n_hidden: int) -> tuple[Histories, NDArray[np.int32]]:
    """Return users' events before their ``n_hidden`` last ones, and the event that came next."""
    long = np.flatnonzero(data.log.lengths > n_hidden)
    past = data.log.without_last(n_hidden).take(long)
    return past, data.log.items[data.log.starts[1:][long] - n_hidden]


def _fitted(data: FitData, features: Features, config: RankerConfig, sample: Sampler) -> str | None:
    """Return a ranker of everybody's last two events; None if no candidate ever came next."""
    parts = [
        part
        for n_hidden in (1, 2)
        for part in training_data(features, *_next(data, n_hidden), config=config, sample=sample)
    ]
    return fit_ranker(TrainingData.joined(parts), config) if parts else None
