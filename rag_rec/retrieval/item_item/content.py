"""Content: items that are described alike, in the same words or in the same sense."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import FitData
from rag_rec.retrieval.budget import Budget
from rag_rec.retrieval.matrices import keep_strongest, n_rows, row_normalised
from rag_rec.retrieval.neighbours import (
    clustered_neighbours,
    cosine_neighbours,
    rare_word_neighbours,
)

Views: TypeAlias = dict[str, sparse.csr_array]
VIEWS = ("title", "words", "vectors")


@dataclass(frozen=True, slots=True)
class Content:
    """Mean of three views: words of the title, all words, and the item vectors.

    A view holds cosines of nearest items raised to a power, each row divided by its sum. Words
    tell brands and series apart, vectors know what words mean; together they beat either.

    Attributes:
        n_view: Neighbours of a view.
        n_blend: Neighbours of a view that enter the mean.
        word_power: Cosines of words are raised to this.
        vector_power: Cosines of vectors are raised to this; they are all rather large.
    """

    name: str = "content"
    n_view: int = 100
    n_blend: int = 50
    word_power: float = 2.0
    vector_power: float = 8.0

    def fit(self, data: FitData) -> sparse.csr_array:
        """Matrix ``float32 [n, n]``."""
        return self.blend(self.views(data), data.budget)

    def views(self, data: FitData) -> Views:
        """The three views ``title``, ``words``, ``vectors``; none depends on the log."""
        return {
            "title": self._view(tf_idf(data.titles), self.word_power, data.budget),
            "words": self._view(tf_idf(data.texts), self.word_power, data.budget),
            "vectors": self._view(np.asarray(data.item_vectors), self.vector_power, data.budget),
        }

    def blend(self, views: Views, budget: Budget) -> sparse.csr_array:
        """Mean of the views' nearest items."""
        n_kept = budget.per_row(n_rows(views["title"]), self.n_blend)
        parts = [row_normalised(keep_strongest(view, n_kept)) for view in views.values()]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return sparse.csr_array(total * np.float32(1 / len(parts)))

    def _view(
        self, vectors: np.ndarray | sparse.csr_array, power: float, budget: Budget
    ) -> sparse.csr_array:
        n_items = n_rows(vectors)
        n_kept = budget.per_row(n_items, self.n_view)
        if budget.compares_all(n_items):
            matrix = cosine_neighbours(vectors, n_kept)
        elif isinstance(vectors, np.ndarray):
            matrix = clustered_neighbours(vectors, n_kept)
        else:
            matrix = rare_word_neighbours(vectors, n_kept)
        matrix.data **= power
        return row_normalised(matrix)


def tf_idf(texts: Sequence[str]) -> sparse.csr_array:
    """Unit rows ``float32 [n, words]`` of ``(1 + ln tf) ln(n / df)``; words of one text are out."""
    bags = [Counter(re.findall(r"\w+", text.lower())) for text in texts]
    known = Counter(word for bag in bags for word in bag)
    place = {word: at for at, word in enumerate(w for w, count in known.items() if count > 1)}
    rows, columns, values = [], [], []
    for row, bag in enumerate(bags):
        for word, count in bag.items():
            if word in place:
                rows.append(row)
                columns.append(place[word])
                values.append((1 + np.log(count)) * np.log(len(texts) / known[word]))
    shape = (len(texts), max(1, len(place)))
    matrix = sparse.csr_array((np.array(values, np.float32), (rows, columns)), shape=shape)
    norms = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    matrix.data /= np.repeat(np.where(norms > 0, norms, 1), np.diff(matrix.indptr))
    return matrix
