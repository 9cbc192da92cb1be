"""The fused retriever: weighted evidence of all sources, one sparse product for many users."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.index import ItemIndex
from rag_rec.retrieval.base import Retriever
from rag_rec.retrieval.fusion.explain import strongest_links
from rag_rec.retrieval.fusion.load import load_sources
from rag_rec.retrieval.fusion.provenance import Origins, Scores
from rag_rec.retrieval.fusion.queries import Asked, Reader
from rag_rec.retrieval.fusion.stacked import best, best_of_rows, order_keys
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import columns_of, row_lengths, row_of, rows_times
from rag_rec.retrieval.ranker.rerank import Ranked, rank_again

_BATCH = 256
_BATCH_ENTRIES = 2**26


class FusedRetriever:
    """Sums what the sources say of each candidate; popularity fills what is left.

    Where the index holds a ranker, it orders the best candidates again. It does so for users with
    a history and without plain words, whose candidates are all new to them: what it has learned.

    Args:
        index: An open index version.
        decay: An event counts for 1/e less for every ``decay`` events after it; what the index
            was fitted with if None.
    """

    def __init__(self, index: ItemIndex, *, decay: float | None = None) -> None:
        self.index = index
        fitted = load_sources(index, decay)
        self._reader = Reader(index, fitted.weighting)
        self._decay = fitted.weighting.decay
        self.evidence, self.ranker, self._given = fitted.evidence, fitted.ranker, fitted.given
        self.popularity = fitted.popular
        self.by_popularity = np.lexsort((np.arange(index.n_items), -fitted.popular))
        place = np.empty(index.n_items, np.int64)
        place[self.by_popularity] = np.arange(index.n_items)
        self._popularity_rank = place + 1
        self._batch_size = max(1, min(_BATCH, _BATCH_ENTRIES // max(index.n_items, 1)))

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        results: list[list[Candidate]] = []
        origins_of = Origins(self.evidence.names, self.index.n_items).of
        for start in range(0, len(histories), self._batch_size):
            batch = self._reader.read(histories[start : start + self._batch_size])
            chosen = self._choose(batch, k)
            product = rows_times(batch.weights, self.evidence.stacked)
            for row, (items, scores) in enumerate(chosen):
                stacked = row_of(product, row)
                origins = origins_of(stacked, batch.extra[row], batch.blocked[row], items)
                results.append(self._candidates(items, scores, origins))
        return results

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """See `Retriever.explain`."""
        weights = self.history_weights([history])
        return strongest_links(self.index, self.evidence, weights, item_ids)

    def rank(self, histories: Sequence[UserHistory], k: int) -> list[Ranked]:
        """The same order as `retrieve`, as ``item_ix`` and scores, without the origins."""
        results: list[Ranked] = []
        for start in range(0, len(histories), self._batch_size):
            batch = self._reader.read(histories[start : start + self._batch_size])
            results += self._choose(batch, k)
        return results

    def score(
        self, histories: Sequence[UserHistory], candidates: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """Scores of given candidates ``[u, c]``, by the ranker of given candidates if there is one.

        Args:
            histories: ``u`` users.
            candidates: ``item_ix [u, c]``.
        """
        scores = np.zeros(candidates.shape)
        for start in range(0, len(histories), self._batch_size):
            span = slice(start, start + self._batch_size)
            users = self.histories(histories[span])
            if self._given is not None:
                scores[span] = self._given.given(users, candidates[span])
            else:
                product = rows_times(users.weights(self._decay), self.evidence.fused)
                scores[span] = columns_of(product, candidates[span])
        return scores

    def histories(self, histories: Sequence[UserHistory]) -> Histories:
        """Events as row numbers, -1 for items that are not in the catalog."""
        return self._reader.rows(histories)

    def history_weights(self, histories: Sequence[UserHistory]) -> sparse.csr_array:
        """Weights ``float32 [b, n]`` of the items in each history, 1 for the latest."""
        return self.histories(histories).weights(self._decay)

    def _choose(self, batch: Asked, k: int) -> list[Ranked]:
        """Items and scores of each user, best first, ``min(k, eligible items)`` of them."""
        product = rows_times(batch.weights, self.evidence.fused)
        n = k if self.ranker is None else max(k, self.ranker.depth)
        keys = order_keys(product.indices, product.data)
        owners = np.repeat(np.arange(len(batch.users)), row_lengths(product))
        keys[batch.blocked[owners, product.indices]] = 0
        fused = best_of_rows(keys, product.indptr.tolist(), n)
        for row, extra in enumerate(batch.extra):
            if extra:
                fused[row] = _best_with(row_of(product, row), extra, batch.blocked[row], n)
        ranked = rank_again(self.ranker, batch, fused)
        return [
            self._filled(items[:k], scores[:k], batch.blocked[row], k)
            for row, (items, scores) in enumerate(ranked)
        ]

    def _filled(
        self,
        items: NDArray[np.int32],
        scores: NDArray[np.float64],
        blocked: NDArray[np.bool_],
        k: int,
    ) -> Ranked:
        """Filled up with the most popular allowed items that are not chosen yet, scored 0."""
        if len(items) >= k:
            return items, scores
        taken = blocked.copy()
        taken[items] = True
        free = self.by_popularity[~taken[self.by_popularity]][: k - len(items)]
        return (
            np.concatenate([items, free.astype(np.int32)]),
            np.concatenate([scores, np.zeros(len(free))]),
        )

    def _candidates(
        self,
        items: NDArray[np.int32],
        scores: NDArray[np.float64],
        origins: list[dict[str, int]],
    ) -> list[Candidate]:
        ids = self.index.item_ids
        return [
            Candidate(ids[ix], score, origin or {"popular": int(self._popularity_rank[ix])})
            for ix, score, origin in zip(items.tolist(), scores.tolist(), origins, strict=True)
        ]


def _best_with(
    fused: Scores, extra: dict[str, Scores], blocked: NDArray[np.bool_], n: int
) -> Scores:
    """The best where evidence from elsewhere is added."""
    items = np.concatenate([fused[0], *(found for found, _ in extra.values())])
    values = np.concatenate([fused[1], *(strength for _, strength in extra.values())])
    items, place = np.unique(items, return_inverse=True)
    values = np.bincount(place, values, len(items)).astype(np.float32)
    free = ~blocked[items]
    return best(items[free], values[free], n)


def open_retriever(index: ItemIndex, *, decay: float | None = None) -> Retriever:
    """Open the retriever that was fitted with an index; it takes seconds and memory.

    Args:
        index: An open index version.
        decay: An event counts for 1/e less for every ``decay`` events after it; None takes the
            value the index was fitted with.

    Raises:
        IndexNotFound: If the version is incomplete.
    """
    return FusedRetriever(index, decay=decay)
