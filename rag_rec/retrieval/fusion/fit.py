"""Fits all sources of an index version, and the ranker over them, and stores them beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from rag_rec.index import ItemIndex, OnStep, item_texts, one_step
from rag_rec.retrieval.base import FitData
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fusion.learn import fit_fusion, fit_matrices
from rag_rec.retrieval.fusion.stacked import factors_of

FOLDER = "evidence"
"""Where a version keeps what is fitted."""


def fit_sources(
    version: Path, config: RetrievalConfig | None = None, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Fits every source on a version folder and writes its matrix there.

    Returns:
        What the manifest says of retrieval: the configuration, which fusion was used and why,
        which solve was used and why, and each source's weight, factor and number of entries.
    """
    config = config or RetrievalConfig()
    index = ItemIndex(version)
    data = FitData.of(index, item_texts(index.items), config.budget)
    folder = version / FOLDER
    folder.mkdir()
    with one_step(on_step, "comparing texts"):
        views = config.content.views(data)
        texts = {
            "content": config.content.blend(views, config.budget),
            "reviews": config.reviews.fit(data),
        }
    with one_step(on_step, "learning the fusion"):
        fusion, weighting = fit_fusion(data, texts, views, config, folder)
    with one_step(on_step, "fitting sources"):
        matrices = fit_matrices(data, texts, config)
    for name, matrix in matrices.items():
        sparse.save_npz(folder / f"{name}.npz", matrix, compressed=False)
    np.save(folder / "popular.npy", config.popular.fit(data))
    factors = factors_of(matrices, weighting.sources)
    return {
        **fusion,
        **_describe_solve(data, config),
        "decay": weighting.decay,
        "replay": weighting.replay,
        "sources": {
            name: {
                "weight": weighting.sources[name],
                "factor": factors.get(name, 0.0),
                "entries": int(m.nnz),
            }
            for name, m in matrices.items()
        },
        "config": asdict(config),
    }


def _describe_solve(data: FitData, config: RetrievalConfig) -> dict[str, str]:
    budget = config.budget
    n_head = len(budget.dense_head(data.log))
    why = f"{data.n_items} items, of which {n_head} fit {budget.memory_gib:g} GiB"
    whole = n_head == data.n_items
    return {
        "solve": "dense" if whole else "dense head, co-occurrence tail",
        "solve_why": why,
        "neighbours": "every pair compared"
        if budget.compares_all(data.n_items)
        else "within clusters, and by rare words",
    }
