"""Why a candidate was retrieved, in a sentence built from the log: no model is involved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from rag_rec.retrieve.fuse import FusedRetriever
from rag_rec.text import plain_text
from rag_rec.types import Evidence, UserHistory

_SENTENCES: Mapping[str, str] = {
    "transitions": "Often taken after “{}”.",
    "content": "Similar to “{}”.",
    "reviews": "Its reviews read like those of “{}”.",
    "lexical": "Described in the same words as “{}”.",
}


def strongest_link(retriever: FusedRetriever, history: UserHistory, item_id: str) -> Evidence:
    """The strongest single link from the history to a candidate; else its popularity."""
    index = retriever.index
    target = index.find(item_id)
    weights = retriever.history_weights([history])
    best = (0.0, "", -1)
    for name, matrix in retriever.matrices.items():
        for past, weight in zip(weights.indices, weights.data, strict=True):
            strength = float(weight) * _entry(matrix, int(past), target or 0)
            best = max(best, (strength, name, int(past)))
    strength, name, past = best
    if past >= 0:
        title = plain_text(index.item(past).title) or index.item_ids[past]
        text = _SENTENCES[name].format(title)
    elif history.profile:
        text = "Close to what was asked for."
    else:
        text = "Popular with other users."
    return Evidence(item_id=item_id, kind="history", text=text, similarity=strength)


def _entry(matrix: sparse.csr_array, row: int, column: int) -> float:
    start, end = matrix.indptr[row], matrix.indptr[row + 1]
    place = start + np.searchsorted(matrix.indices[start:end], column)
    return float(matrix.data[place]) if place < end and matrix.indices[place] == column else 0.0
