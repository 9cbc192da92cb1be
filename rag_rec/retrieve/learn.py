"""Learning the order of candidates from the last two events of every user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from rag_rec.retrieve.base import FitData
from rag_rec.retrieve.config import RetrievalConfig
from rag_rec.retrieve.content import Views
from rag_rec.retrieve.evidence import Evidence
from rag_rec.retrieve.features import Features
from rag_rec.retrieve.ranker import (
    Lessons,
    Propose,
    RankerConfig,
    fit_ranker,
    joined,
    lessons,
    propose_best,
    propose_random,
)
from rag_rec.retrieve.stats import ItemStats

Matrices = dict[str, sparse.csr_array]


def fit_matrices(data: FitData, texts: Matrices, config: RetrievalConfig) -> Matrices:
    """All matrices by source name; those of texts are given, as they do not depend on the log."""
    sequence = config.sequential.fit(data)
    return {
        "sequence": sequence,
        "symmetric": config.symmetric.fit(data),
        **texts,
        "smoothed": config.smoothed.fit(sequence, texts["content"]),
    }


def fit_fusion(
    data: FitData, texts: Matrices, views: Views, config: RetrievalConfig, folder: Path
) -> dict[str, str]:
    """Fits the ranker where there is enough to learn from; says what was done and why."""
    wanted = config.ranker
    n_users = int((data.log.lengths >= wanted.min_events).sum())
    why = f"{n_users} users with {wanted.min_events} or more events, {wanted.min_users} needed"
    if not wanted.enabled:
        return {"fusion": "fixed weights", "fusion_why": "the ranker is switched off"}
    if n_users < wanted.min_users:
        return {"fusion": "fixed weights", "fusion_why": why}
    features = _features(data.without_last(2), texts, views, config)
    learned = _learn(data, features, wanted, propose_best)
    if learned is None:
        return {"fusion": "fixed weights", "fusion_why": "no candidate ever came next"}
    (folder / "ranker.txt").write_text(fit_ranker(learned, wanted), encoding="utf-8")
    if config.given is not None:
        learned = _learn(data, features, config.given, propose_random)
        if learned is not None:
            (folder / "given.txt").write_text(fit_ranker(learned, config.given), encoding="utf-8")
    (folder / "stats").mkdir()
    ItemStats.fit(data).save(folder / "stats")
    for name, view in views.items():
        sparse.save_npz(folder / "stats" / f"view_{name}.npz", view, compressed=False)
    return {"fusion": "ranker", "fusion_why": why}


def _features(data: FitData, texts: Matrices, views: Views, config: RetrievalConfig) -> Features:
    evidence = Evidence(fit_matrices(data, texts, config), config.weights)
    stats, vectors = ItemStats.fit(data), np.asarray(data.item_vectors)
    return Features(evidence, stats, views, vectors, config.history_decay)


def _learn(
    data: FitData, features: Features, config: RankerConfig, propose: Propose
) -> Lessons | None:
    """The last two events of every user, predicted by sources that have seen neither."""
    found: list[Lessons] = []
    for n_hidden in (1, 2):
        long = np.flatnonzero(data.log.lengths > n_hidden)
        past = data.log.without_last(n_hidden).take(long)
        came_next = data.log.items[data.log.starts[1:][long] - n_hidden]
        part = lessons(features, past, came_next, config=config, propose=propose)
        if part is not None:
            found.append(part)
    return joined(found) if found else None
