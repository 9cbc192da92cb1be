"""Learning the fusion from the last two events of every user: weights first, then the ranker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.base import FitData
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fusion.stacked import Evidence
from rag_rec.retrieval.fusion.weights import Weighting, search_weights
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.item_item.content import Views
from rag_rec.retrieval.ranker.candidate_sampling import Propose, propose_best, propose_random
from rag_rec.retrieval.ranker.config import RankerConfig
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.ranker.lambdamart import fit_ranker
from rag_rec.retrieval.ranker.training_data import Lessons, joined, lessons

Matrices = dict[str, sparse.csr_array]


def fit_matrices(data: FitData, texts: Matrices, config: RetrievalConfig) -> Matrices:
    """All matrices by source name; those of texts are given."""
    sequence = config.sequential.fit(data)
    return {
        "sequence": sequence,
        "symmetric": config.symmetric.fit(data),
        **texts,
        "smoothed": config.smoothed.fit(sequence, texts["content"], data.budget),
    }


def fit_fusion(
    data: FitData, texts: Matrices, views: Views, config: RetrievalConfig, folder: Path
) -> tuple[dict[str, str], Weighting]:
    """Chooses the weights and fits the ranker where there is enough to learn from.

    Returns:
        What was done and why, and how the sources are to be summed.
    """
    wanted = config.ranker
    n_users = int((data.log.lengths >= wanted.min_events).sum())
    why = f"{n_users} users with {wanted.min_events} or more events, {wanted.min_users} needed"
    if not wanted.enabled:
        return _unlearned("learning is switched off", config.weighting)
    if n_users < wanted.min_users:
        return _unlearned(why, config.weighting)
    features, weighting = _features(data, texts, views, config)
    learned = _learn(data, features, wanted, propose_best)
    if learned is None:
        return _unlearned("no candidate ever came next", weighting)
    (folder / "ranker.txt").write_text(fit_ranker(learned, wanted), encoding="utf-8")
    if config.given is not None:
        learned = _learn(data, features, config.given, propose_random)
        if learned is not None:
            (folder / "given.txt").write_text(fit_ranker(learned, config.given), encoding="utf-8")
    _save_stats(data, views, folder / "stats")
    return {"fusion": "ranker", "fusion_why": why}, weighting


def _unlearned(why: str, weighting: Weighting) -> tuple[dict[str, str], Weighting]:
    return {"fusion": "fixed weights", "fusion_why": why}, weighting


def _features(
    data: FitData, texts: Matrices, views: Views, config: RetrievalConfig
) -> tuple[Features, Weighting]:
    """Features and weights by sources that have not seen the last two events of anybody."""
    before = data.without_last(2)
    if len(data.review_items):
        texts = texts | {"reviews": config.reviews.fit(before)}
    matrices = fit_matrices(before, texts, config)
    weighting = _weighting(data, matrices, config)
    evidence = Evidence(matrices, weighting.sources)
    vectors = np.asarray(data.item_vectors)
    return Features(evidence, ItemStats.fit(before), views, vectors, weighting.decay), weighting


def _weighting(data: FitData, matrices: Matrices, config: RetrievalConfig) -> Weighting:
    unweighted = Evidence(matrices, config.weighting.sources)
    return search_weights(unweighted, *_next(data, 1), config.weighting, config.search)


def _save_stats(data: FitData, views: Views, folder: Path) -> None:
    folder.mkdir()
    ItemStats.fit(data).save(folder)
    for name, view in views.items():
        sparse.save_npz(folder / f"view_{name}.npz", view, compressed=False)


def _next(data: FitData, n_hidden: int) -> tuple[Histories, NDArray[np.int32]]:
    """Users' events before their ``n_hidden`` last ones, and the event that came next."""
    long = np.flatnonzero(data.log.lengths > n_hidden)
    past = data.log.without_last(n_hidden).take(long)
    return past, data.log.items[data.log.starts[1:][long] - n_hidden]


def _learn(
    data: FitData, features: Features, config: RankerConfig, propose: Propose
) -> Lessons | None:
    """The last two events of every user, predicted by sources that have seen neither."""
    found: list[Lessons] = []
    for n_hidden in (1, 2):
        past, came_next = _next(data, n_hidden)
        part = lessons(features, past, came_next, config=config, propose=propose)
        if part is not None:
            found.append(part)
    return joined(found) if found else None
