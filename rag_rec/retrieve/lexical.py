"""Lexical: items whose text shares rare words (BM25)."""

from __future__ import annotations

from dataclasses import dataclass

import bm25s
import numpy as np
from scipy import sparse

from rag_rec.retrieve.base import FitData, from_rows


@dataclass(frozen=True, slots=True)
class Lexical:
    """BM25 (Robertson & Zaragoza 2009) with each item's title as the query.

    Attributes:
        n_neighbours: Neighbours kept an item.
    """

    name: str = "lexical"
    n_neighbours: int = 50

    def fit(self, data: FitData) -> sparse.csr_array:
        """BM25 scores, each row divided by its largest so that long titles do not dominate."""
        corpus = bm25s.tokenize(data.texts, stopwords="en", show_progress=False)
        if not corpus.vocab:
            return sparse.csr_array((data.n_items, data.n_items), dtype=np.float32)
        bm25 = bm25s.BM25()
        bm25.index(corpus, show_progress=False)
        queries = [title or text for title, text in zip(data.titles, data.texts, strict=True)]
        tokens = bm25s.tokenize(queries, stopwords="en", show_progress=False, return_ids=False)
        width = min(self.n_neighbours + 1, data.n_items)
        found, scores = bm25.retrieve(tokens, k=width, show_progress=False)
        rows, values = [], []
        for row, (columns, data_row) in enumerate(zip(found, scores, strict=True)):
            good = (columns != row) & (data_row > 0)
            order = np.argsort(columns[good])
            kept = data_row[good][order].astype(np.float32)
            rows.append(columns[good][order].astype(np.int32))
            values.append(kept / kept.max() if len(kept) else kept)
        return from_rows(rows, values, data.n_items)
