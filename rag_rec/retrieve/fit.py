"""Fits all sources of an index version and stores them beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.errors import IndexNotFound
from rag_rec.index import ItemIndex, item_texts
from rag_rec.retrieve.base import FitData, Source
from rag_rec.retrieve.content import Content
from rag_rec.retrieve.lexical import Lexical
from rag_rec.retrieve.popular import Popular
from rag_rec.retrieve.reviews import Reviews
from rag_rec.retrieve.transitions import Transitions

SOURCES: tuple[Source, ...] = (Transitions(), Content(), Reviews(), Lexical())
WEIGHTS = {"transitions": 1.0, "content": 0.7, "reviews": 0.2, "lexical": 0.2}
_FOLDER = "evidence"


def fit_sources(version: Path) -> dict[str, Any]:
    """Fits every source on a version folder and writes its matrix there.

    Returns:
        What the manifest says of retrieval: each source's configuration, weight and scale.
    """
    index = ItemIndex(version)
    data = FitData.of(index, item_texts(index.items))
    (version / _FOLDER).mkdir()
    description: dict[str, Any] = {"fusion": "fixed weights", "sources": {}}
    for source in SOURCES:
        matrix = source.fit(data)
        sparse.save_npz(version / _FOLDER / f"{source.name}.npz", matrix, compressed=False)
        scale = float(matrix.data.std()) if matrix.nnz else 0.0
        description["sources"][source.name] = {
            **asdict(source),  # pyright: ignore[reportArgumentType] - sources are dataclasses
            "weight": WEIGHTS[source.name],
            "scale": round(scale or 1.0, 8),
            "entries": int(matrix.nnz),
        }
    np.save(version / _FOLDER / "popular.npy", Popular().fit(data))
    return description


def load_sources(version: Path) -> tuple[dict[str, sparse.csr_array], NDArray[np.float32]]:
    """The matrices by source name, and the popularity scores.

    Raises:
        IndexNotFound: If the version does not hold them.
    """
    folder = version / _FOLDER
    try:
        matrices = {
            s.name: sparse.csr_array(sparse.load_npz(folder / f"{s.name}.npz")) for s in SOURCES
        }
        return matrices, np.load(folder / "popular.npy", allow_pickle=False)
    except FileNotFoundError as error:
        raise IndexNotFound(f"{folder} is incomplete; rebuild with rag-rec index") from error
