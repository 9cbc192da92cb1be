"""Fits all sources of an index version, and the ranker over them, and stores them beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.errors import IndexNotFound
from rag_rec.index import ItemIndex, item_texts
from rag_rec.retrieve.base import FitData
from rag_rec.retrieve.content import VIEWS, Content, Views
from rag_rec.retrieve.evidence import Evidence
from rag_rec.retrieve.features import Features
from rag_rec.retrieve.popular import Popular
from rag_rec.retrieve.ranker import (
    Lessons,
    Propose,
    Ranker,
    RankerConfig,
    fit_ranker,
    joined,
    lessons,
    propose_best,
    propose_random,
)
from rag_rec.retrieve.reviews import Reviews
from rag_rec.retrieve.sequence import Sequential
from rag_rec.retrieve.smoothed import Smoothed
from rag_rec.retrieve.solve import dense_head
from rag_rec.retrieve.stats import ItemStats
from rag_rec.retrieve.symmetric import Symmetric

Matrices = dict[str, sparse.csr_array]

_FOLDER = "evidence"
_WEIGHTS = {"sequence": 1.0, "symmetric": 0.3, "content": 1.0, "smoothed": 0.5, "reviews": 0.1}


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """How retrieval is fitted.

    Attributes:
        sequential: What users took next.
        symmetric: What users took together.
        content: What is described alike.
        smoothed: Sequence evidence lent to what is described alike.
        reviews: What is written about alike.
        popular: What is taken most.
        ranker: The learned order of the best candidates.
        given: A second ranker, for candidates that are given and not retrieved; none by default.
        weights: Weight of each source in the sum, each scaled to unit standard deviation.
        history_decay: An event counts for 1/e less for every so many events after it.
    """

    sequential: Sequential = field(default_factory=Sequential)
    symmetric: Symmetric = field(default_factory=Symmetric)
    content: Content = field(default_factory=Content)
    smoothed: Smoothed = field(default_factory=Smoothed)
    reviews: Reviews = field(default_factory=Reviews)
    popular: Popular = field(default_factory=Popular)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    given: RankerConfig | None = None
    weights: Mapping[str, float] = field(default_factory=lambda: dict(_WEIGHTS))
    history_decay: float = 2.0

    @classmethod
    def within(
        cls, memory_gib: float, *, ranker: bool = True, given: bool = False
    ) -> RetrievalConfig:
        """The defaults with another memory budget for the dense solves, or other rankers."""
        return cls(
            sequential=Sequential(memory_gib=memory_gib),
            symmetric=Symmetric(memory_gib=memory_gib),
            ranker=RankerConfig(enabled=ranker),
            given=RankerConfig(depth=20, rounds=300, truncation=20) if given else None,
        )


def fit_sources(version: Path, config: RetrievalConfig | None = None) -> dict[str, Any]:
    """Fits every source on a version folder and writes its matrix there.

    Returns:
        What the manifest says of retrieval: the configuration, which fusion was used and why,
        which solve was used and why, and each source's weight, factor and number of entries.
    """
    config = config or RetrievalConfig()
    index = ItemIndex(version)
    data = FitData.of(index, item_texts(index.items))
    folder = version / _FOLDER
    folder.mkdir()
    views = config.content.views(data)
    texts = {"content": config.content.blend(views), "reviews": config.reviews.fit(data)}
    fusion = _fit_fusion(data, texts, views, config, folder)
    matrices = fit_matrices(data, texts, config)
    for name, matrix in matrices.items():
        sparse.save_npz(folder / f"{name}.npz", matrix, compressed=False)
    np.save(folder / "popular.npy", config.popular.fit(data))
    factors = Evidence(matrices, config.weights).factors
    return {
        **fusion,
        **_describe_solve(data, config),
        "sources": {
            name: {
                "weight": config.weights[name],
                "factor": factors.get(name, 0.0),
                "entries": int(m.nnz),
            }
            for name, m in matrices.items()
        },
        "config": asdict(config),
    }


def fit_matrices(data: FitData, texts: Matrices, config: RetrievalConfig) -> Matrices:
    """All matrices by source name; those of texts are given, as they do not depend on the log."""
    sequence = config.sequential.fit(data)
    return {
        "sequence": sequence,
        "symmetric": config.symmetric.fit(data),
        **texts,
        "smoothed": config.smoothed.fit(sequence, texts["content"]),
    }


def _fit_fusion(
    data: FitData, texts: Matrices, views: Views, config: RetrievalConfig, folder: Path
) -> dict[str, str]:
    """Fits the ranker where there is enough to learn from."""
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


def _describe_solve(data: FitData, config: RetrievalConfig) -> dict[str, str]:
    n_head = len(dense_head(data, config.sequential.memory_gib))
    why = f"{data.n_items} items, of which {n_head} fit {config.sequential.memory_gib:g} GiB"
    whole = n_head == data.n_items
    return {"solve": "dense" if whole else "dense head, co-occurrence tail", "solve_why": why}


@dataclass(frozen=True, slots=True)
class Fitted:
    """What an index version holds of retrieval.

    Attributes:
        evidence: The sources.
        popular: Popularity, ``float32 [n]``.
        ranker: The ranker, if one was fitted.
        given: The ranker of given candidates, if one was fitted.
    """

    evidence: Evidence
    popular: NDArray[np.float32]
    ranker: Ranker | None
    given: Ranker | None


def load_sources(index: ItemIndex, decay: float) -> Fitted:
    """What `fit_sources` wrote.

    Raises:
        IndexNotFound: If the version does not hold it.
    """
    folder = index.folder / _FOLDER
    weights = {name: s["weight"] for name, s in index.manifest.retrieval["sources"].items()}
    try:
        matrices = {name: _load(folder / f"{name}.npz") for name in weights}
        popular = np.load(folder / "popular.npy", allow_pickle=False)
        evidence = Evidence(matrices, weights)
        return Fitted(evidence, popular, *_load_rankers(index, evidence, decay))
    except FileNotFoundError as error:
        raise IndexNotFound(f"{folder} is incomplete; rebuild with rag-rec index") from error


def _load_rankers(
    index: ItemIndex, evidence: Evidence, decay: float
) -> tuple[Ranker | None, Ranker | None]:
    retrieval, folder = index.manifest.retrieval, index.folder / _FOLDER
    if retrieval["fusion"] != "ranker":
        return None, None
    views = {name: _load(folder / "stats" / f"view_{name}.npz") for name in VIEWS}
    stats = ItemStats.load(folder / "stats")
    features = Features(evidence, stats, views, np.asarray(index.item_vectors), decay)
    ranker = Ranker(folder / "ranker.txt", features, retrieval["config"]["ranker"]["depth"])
    if retrieval["config"]["given"] is None:
        return ranker, None
    return ranker, Ranker(folder / "given.txt", features, retrieval["config"]["given"]["depth"])


def _load(path: Path) -> sparse.csr_array:
    return sparse.csr_array(sparse.load_npz(path))
