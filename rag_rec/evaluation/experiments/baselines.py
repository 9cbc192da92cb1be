"""The rows that are in every report: chance, popularity, BM25, item-kNN, retrieval, its ceiling.

Each is a ranking of the whole catalog from histories alone, over what was fitted on. Equal scores
are put in an order drawn by chance, so that no row can gain from the catalog's own order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import ConfigError, UserHistory
from rag_rec.evaluation.experiments.retrievers import Ranking
from rag_rec.index import ItemIndex
from rag_rec.retrieval import dense

Scores = NDArray[np.float32]

_BATCH = 512
_RECENT = 10
_NEIGHBOURS = 200


def baseline_rankings(index: ItemIndex, seed: int) -> dict[str, Ranking]:
    """The rankings that need no model, by name.

    Raises:
        ConfigError: If the package for BM25 is missing.
    """
    return {
        "random": _ranking(index, lambda rows: np.zeros((len(rows), index.n_items)), seed),
        "popularity": _ranking(index, _popularity(index), seed),
        "bm25": _ranking(index, _bm25(index), seed),
        "item-knn": _ranking(index, _item_knn(index), seed),
    }


def order_of(
    scores: NDArray[np.floating[Any]], k: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """The ``k`` best of one row, ties in random order.

    >>> order_of(np.array([0.5, 2.0, 1.0]), 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    mixed = rng.permutation(len(scores))
    return mixed[np.argsort(-scores[mixed], kind="stable")[:k]]


def _ranking(
    index: ItemIndex, score: Callable[[list[NDArray[np.int64]]], NDArray[Any]], seed: int
) -> Ranking:
    """A ranking by scores ``[u, n]`` of the items of each history, nothing seen or excluded."""

    def rank(histories: Sequence[UserHistory], k: int) -> list[list[str]]:
        found: list[list[str]] = []
        for start in range(0, len(histories), _BATCH):
            batch = histories[start : start + _BATCH]
            rows = [_rows(index, history.item_ids) for history in batch]
            scores = np.asarray(score(rows), np.float64)
            for row, history in enumerate(batch):
                found.append(_best(index, scores[row], history, k, seed))
        return found

    return rank


def _best(
    index: ItemIndex, scores: NDArray[np.float64], history: UserHistory, k: int, seed: int
) -> list[str]:
    blocked = _rows(index, history.constraints.exclude)
    scores = scores.copy()
    scores[blocked] = -np.inf
    if not history.constraints.allow_seen:
        scores[_rows(index, history.item_ids)] = -np.inf
    if not history.constraints.allow_out_of_stock:
        scores[~index.in_stock] = -np.inf
    own = int.from_bytes((history.user_id or "").encode()[-8:], "little")
    order = order_of(scores, k, np.random.default_rng([seed, own]))
    return [index.item_ids[ix] for ix in order.tolist() if np.isfinite(scores[ix])]


def _rows(index: ItemIndex, item_ids: Sequence[str] | frozenset[str]) -> NDArray[np.int64]:
    found = (index.find(item_id) for item_id in item_ids)
    return np.array([ix for ix in found if ix is not None], np.int64)


def counts_of(index: ItemIndex) -> NDArray[np.int64]:
    """Events of each item in what was fitted on, ``[n]``."""
    counts = np.zeros(index.n_items, np.int64)
    rows = [index.find(item_id) for item_id in index.interactions["item_id"].to_list()]
    np.add.at(counts, np.array([ix for ix in rows if ix is not None], np.int64), 1)
    return counts


def _popularity(index: ItemIndex) -> Callable[[list[NDArray[np.int64]]], NDArray[Any]]:
    counts = counts_of(index).astype(np.float64)
    return lambda rows: np.repeat(counts[None, :], len(rows), axis=0)


def _item_knn(index: ItemIndex) -> Callable[[list[NDArray[np.int64]]], NDArray[Any]]:
    """Cosine of the users two items share, the nearest 200 kept (Sarwar et al. 2001)."""
    matrix = _user_items(index)
    norms = np.sqrt(np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1))
    scaled = sparse.csr_array(matrix @ sparse.diags_array(1 / norms))
    similar = sparse.csr_array(_nearest(scaled))

    def score(rows: list[NDArray[np.int64]]) -> NDArray[Any]:
        lengths = [len(row) for row in rows]
        columns = np.concatenate([*rows, np.zeros(0, np.int64)])
        owners = np.repeat(np.arange(len(rows)), lengths)
        asked = sparse.csr_array(
            (np.ones(len(columns)), (owners, columns)), shape=(len(rows), index.n_items)
        )
        return dense(asked @ similar)

    return score


def _nearest(scaled: sparse.csr_array) -> sparse.csr_array:
    columns = sparse.csc_array(scaled)

    def parts() -> Iterator[sparse.csr_array]:
        n = columns.shape[1]  # pyright: ignore[reportOptionalSubscript]
        for start in range(0, n, _BATCH):
            block = (columns[:, start : start + _BATCH].T @ columns).toarray()
            at = np.arange(len(block))
            block[at, start + at] = 0
            if n > _NEIGHBOURS:
                floor = np.partition(block, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS, None]
                block[block < floor] = 0
            yield sparse.csr_array(block)

    return sparse.csr_array(sparse.vstack(list(parts())))


def _user_items(index: ItemIndex) -> sparse.csr_array:
    log = index.interactions
    owners = log["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    found = [index.find(item_id) for item_id in log["item_id"].to_list()]
    items = np.array([-1 if ix is None else ix for ix in found], np.int64)
    kept = items >= 0
    shape = (int(owners.max(initial=0)) + 1, index.n_items)
    matrix = sparse.csr_array((np.ones(kept.sum()), (owners[kept], items[kept])), shape=shape)
    matrix.data[:] = 1
    return matrix


def _bm25(index: ItemIndex) -> Callable[[list[NDArray[np.int64]]], NDArray[Any]]:
    """The last ten titles as a query against the catalog's text."""
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

    def score(rows: list[NDArray[np.int64]]) -> NDArray[Any]:
        return np.stack([_scores_of(" ".join(titles[ix] for ix in row[-_RECENT:])) for row in rows])

    def _scores_of(query: str) -> NDArray[Any]:
        tokens: Any = bm25s.tokenize([query], show_progress=False, return_ids=False)
        known = [token for token in tokens[0] if token in retriever.vocab_dict]
        return retriever.get_scores(known) if known else np.zeros(index.n_items)

    return score
