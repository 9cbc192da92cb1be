"""Content: items that are described alike, in the same words or in the same sense."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from rag_rec.retrieval.base import Matrices, Source
from rag_rec.retrieval.fit_data import Budget, FitData
from rag_rec.retrieval.matrices import keep_strongest, n_rows, row_normalised, unit_rows
from rag_rec.retrieval.neighbours import nearest_rows

_VIEWS = ("title", "words", "vectors")


@dataclass(frozen=True)
class Content(Source):
    """Mean of three views: words of the title, all words, and the item vectors.

    A view holds cosines of nearest items raised to a power, each row divided by its sum. Words
    tell brands and series apart, vectors know what words mean; together they beat either.

    Attributes:
        n_view: Neighbours of a view.
        n_blend: Neighbours of a view that enter the mean.
        word_power: Cosines of words are raised to this.
        vector_power: Cosines of vectors are raised to this; they are all rather large.
    """

    weight: float = 1.0
    n_view: int = 100
    n_blend: int = 50
    word_power: float = 2.0
    vector_power: float = 8.0

    name = "content"
    sentence = "Similar to “{}”."
    features = ("decayed", "last", "all")
    uses_log = False

    def views(self, data: FitData) -> Matrices:
        """Return the three views ``title``, ``words`` and ``vectors``."""
        rows = (tf_idf(data.titles), tf_idf(data.texts), np.asarray(data.item_vectors))
        powers = (self.word_power, self.word_power, self.vector_power)
        views = (self._view(*pair, data.budget) for pair in zip(rows, powers, strict=True))
        return dict(zip(_VIEWS, views, strict=True))

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:
        """Return the mean of the views' nearest items."""
        n_kept = data.budget.per_row(data.n_items, self.n_blend)
        parts = [row_normalised(keep_strongest(fitted[name], n_kept)) for name in _VIEWS]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return sparse.csr_array(total * np.float32(1 / len(parts)))

    def _view(self, rows: Any, power: float, budget: Budget) -> sparse.csr_array:
        n_items = n_rows(rows)
        n_kept = budget.per_row(n_items, self.n_view)
        matrix = nearest_rows(rows, n_kept, every_pair=budget.compares_all(n_items))
        matrix.data **= power
        return row_normalised(matrix)


def tf_idf(texts: Sequence[str]) -> sparse.csr_array:
    """Return `weighted_words` of texts; words that only one of them has are left out."""
    return weighted_words([re.findall(r"\w+", text.lower()) for text in texts], least=2)


def weighted_words(bags: Sequence[Iterable[str]], *, least: int) -> sparse.csr_array:
    """Return unit rows ``float32 [n, words]`` of ``(1 + ln tf) ln(n / df)``.

    Args:
        bags: Words of each row.
        least: Rows that must have a word for it to count.
    """
    counts = [Counter(bag) for bag in bags]
    known = Counter(word for count in counts for word in count)
    place = {word: at for at, word in enumerate(w for w, n in known.items() if n >= least)}
    rows, columns, values = [], [], []
    for row, count in enumerate(counts):
        for word, n in count.items():
            if word in place:
                rows.append(row)
                columns.append(place[word])
                values.append((1 + np.log(n)) * np.log(len(counts) / known[word]))
    shape = (len(counts), max(1, len(place)))
    return unit_rows(sparse.csr_array((np.array(values, np.float32), (rows, columns)), shape=shape))
