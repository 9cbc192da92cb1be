"""The retrievers of the rows that are in every report: chance, popularity, BM25, item-kNN.

Each ranks the whole catalog by scores from histories alone, over what was fitted on. Equal scores
are put in an order drawn by chance, so that no row can gain from the catalog's own order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import Candidate, ConfigError, Evidence, UserHistory
from rag_rec.index import ItemIndex
from rag_rec.retrieval import Histories, Retriever, dense

Score = Callable[[Sequence[NDArray[np.int64]]], NDArray[Any]]
"""From ``item_ix`` of ``u`` histories to scores of all items, ``[u, n]``."""

_BATCH = 512
_RECENT = 10
_NEIGHBOURS = 200


@dataclass(frozen=True, slots=True)
class FittedIndex:
    """The index of an experiment's known events, for making retrievers over it.

    Attributes:
        index: Catalog, reviews and log, without what is hidden.
        retriever: The index's own retriever, to build on or to explain items with.
        seed: The experiment's, for what is drawn by chance.
    """

    index: ItemIndex
    retriever: Retriever
    seed: int


class Baseline:
    """A retriever by scores, explained by the index's own.

    Args:
        name: Its name, also as a source of candidates.
        fit: Makes the scores.
        fitted: The index, and the seed of the order of equal scores.

    Raises:
        ConfigError: If a package is missing.
    """

    def __init__(self, name: str, fit: Callable[[ItemIndex], Score], fitted: FittedIndex) -> None:
        self._name, self._score = name, fit(fitted.index)
        self._index, self._explainer, self._seed = fitted.index, fitted.retriever, fitted.seed

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        found: list[list[Candidate]] = []
        for start in range(0, len(histories), _BATCH):
            batch = histories[start : start + _BATCH]
            scores = np.asarray(self._score([self._rows(one) for one in batch]), np.float64)
            found += map(self._best, batch, scores, [k] * len(batch))
        return found

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """See `Retriever.explain`."""
        return self._explainer.explain(history, item_ids)

    def _rows(self, history: UserHistory) -> NDArray[np.int64]:
        found = map(self._index.find, history.item_ids)
        return np.array([ix for ix in found if ix is not None], np.int64)

    def _best(self, history: UserHistory, scores: NDArray[np.float64], k: int) -> list[Candidate]:
        scores = np.where(self._index.eligibility.mask(history), scores, -np.inf)
        own = int.from_bytes((history.user_id or "").encode()[-8:], "little")
        order = order_of(scores, k, np.random.default_rng([self._seed, own]))
        listed = order[np.isfinite(scores[order])].tolist()
        return [
            Candidate(self._index.item_ids[ix], 1 / rank, {self._name: rank})
            for rank, ix in enumerate(listed, 1)
        ]


def order_of(
    scores: NDArray[np.floating[Any]], k: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return the ``k`` best of one row, ties in random order.

    >>> order_of(np.array([0.5, 2.0, 1.0]), 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    mixed = rng.permutation(len(scores))
    return mixed[np.argsort(-scores[mixed], kind="stable")[:k]]


def _chance(index: ItemIndex) -> Score:
    return lambda rows: np.zeros((len(rows), index.n_items))


def _popularity(index: ItemIndex) -> Score:
    return lambda rows: np.broadcast_to(index.popularity, (len(rows), index.n_items))


def _item_knn(index: ItemIndex) -> Score:
    """Score by cosine of the users two items share, the nearest 200 kept (Sarwar et al. 2001)."""
    matrix = Histories.of_index(index).weights(None).astype(np.float64)
    norms = np.sqrt(np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1))
    similar = _nearest(sparse.csc_array(matrix @ sparse.diags_array(1 / norms)), index.n_items)

    def score(rows: Sequence[NDArray[np.int64]]) -> NDArray[Any]:
        asked = np.stack([np.bincount(row, minlength=index.n_items) for row in rows])
        return dense(sparse.csr_array(asked.astype(np.float64)) @ similar)

    return score


def _nearest(columns: sparse.csc_array, n: int) -> sparse.csr_array:
    def parts() -> Iterator[sparse.csr_array]:
        for start in range(0, n, _BATCH):
            block = (columns[:, start : start + _BATCH].T @ columns).toarray()
            at = np.arange(len(block))
            block[at, start + at] = 0
            if n > _NEIGHBOURS:
                floor = np.partition(block, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS, None]
                block[block < floor] = 0
            yield sparse.csr_array(block)

    return sparse.csr_array(sparse.vstack(list(parts())))


def _bm25(index: ItemIndex) -> Score:
    """Score the catalog's text by the last ten titles as a query."""
    try:
        import bm25s  # optional
    except ImportError as error:
        raise ConfigError(
            "the BM25 row needs bm25s; install it with: pip install 'rag-rec[eval]'"
        ) from error
    table = index.items.select("title", "brand", "categories", "description").iter_rows()
    texts = [" ".join([t or "", b or "", *(c or []), d or ""]) for t, b, c, d in table]
    titles = index.items["title"].to_list()
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)

    def score(rows: Sequence[NDArray[np.int64]]) -> NDArray[Any]:
        return np.stack([_scores_of(" ".join(titles[ix] for ix in row[-_RECENT:])) for row in rows])

    def _scores_of(query: str) -> NDArray[Any]:
        tokens: Any = bm25s.tokenize([query], show_progress=False, return_ids=False)
        known = [token for token in tokens[0] if token in retriever.vocab_dict]
        return retriever.get_scores(known) if known else np.zeros(index.n_items)

    return score


BASELINES: Mapping[str, Callable[[ItemIndex], Score]] = {
    "random": _chance,
    "popularity": _popularity,
    "bm25": _bm25,
    "item-knn": _item_knn,
}
"""Makers of scores by the name of their row."""
