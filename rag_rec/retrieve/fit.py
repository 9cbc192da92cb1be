"""Fits all sources of an index version, and the ranker over them, and stores them beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from rag_rec.index import ItemIndex, item_texts
from rag_rec.retrieve.base import FitData
from rag_rec.retrieve.config import RetrievalConfig
from rag_rec.retrieve.evidence import Evidence
from rag_rec.retrieve.learn import fit_fusion, fit_matrices
from rag_rec.retrieve.solve import dense_head

FOLDER = "evidence"
"""Where a version keeps what is fitted."""


def fit_sources(version: Path, config: RetrievalConfig | None = None) -> dict[str, Any]:
    """Fits every source on a version folder and writes its matrix there.

    Returns:
        What the manifest says of retrieval: the configuration, which fusion was used and why,
        which solve was used and why, and each source's weight, factor and number of entries.
    """
    config = config or RetrievalConfig()
    index = ItemIndex(version)
    data = FitData.of(index, item_texts(index.items))
    folder = version / FOLDER
    folder.mkdir()
    views = config.content.views(data)
    texts = {"content": config.content.blend(views), "reviews": config.reviews.fit(data)}
    fusion = fit_fusion(data, texts, views, config, folder)
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


def _describe_solve(data: FitData, config: RetrievalConfig) -> dict[str, str]:
    n_head = len(dense_head(data, config.sequential.memory_gib))
    why = f"{data.n_items} items, of which {n_head} fit {config.sequential.memory_gib:g} GiB"
    whole = n_head == data.n_items
    return {"solve": "dense" if whole else "dense head, co-occurrence tail", "solve_why": why}
