"""Small logs and matrices, written out by the tests of retrieval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag_rec.retrieval import FitData, Histories


def fit_data(
    rows: Sequence[Sequence[int]],
    n_items: int,
    *,
    texts: Sequence[str] = (),
    attributes: Sequence[tuple[str, ...]] = (),
    vectors: np.ndarray | None = None,
) -> FitData:
    """Return the data of users who took these items, without times and reviews."""
    log = Histories.of(rows, n_items)
    written = [*texts, *[""] * (n_items - len(texts))]
    none = np.zeros(0, np.int32)
    return FitData(
        log=log,
        times=np.full(len(log.items), np.nan),
        texts=written,
        titles=written,
        attributes=[*attributes, *[()] * (n_items - len(attributes))],
        item_vectors=np.zeros((n_items, 2), np.float32) if vectors is None else vectors,
        review_vectors=np.zeros((0, 2), np.float32),
        review_items=none,
        review_users=none,
    )
