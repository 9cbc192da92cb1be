"""The fused retriever: weighted evidence of all sources, one sparse product for many users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.constraints import limits_items
from rag_rec.index import ItemIndex
from rag_rec.retrieve.constraints import CatalogLimits
from rag_rec.retrieve.evidence import best
from rag_rec.retrieve.histories import Histories
from rag_rec.retrieve.load import load_sources
from rag_rec.retrieve.matrices import columns_of, row_of
from rag_rec.retrieve.origins import Origins, Scores
from rag_rec.retrieve.search import REPLAY
from rag_rec.types import Candidate, UserHistory

_BATCH = 256
_BATCH_ENTRIES = 2**26
_PROFILE_ITEMS = 200


@dataclass(slots=True)
class _Batch:
    """Some users on their way to lists.

    Attributes:
        users: Their histories.
        weights: ``float32 [b, n]``, weights of the items in each history.
        blocked: ``bool [b, n]``, items a user may not be shown.
        extra: For each user, scores that come from elsewhere than the matrices, by source.
    """

    users: Histories
    weights: sparse.csr_array
    blocked: NDArray[np.bool_]
    extra: list[dict[str, Scores]]


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
        self.limits = CatalogLimits(index)
        fitted = load_sources(index, decay)
        self._weighting = fitted.weighting
        self._decay = fitted.weighting.decay
        self.evidence, self.ranker, self._given = fitted.evidence, fitted.ranker, fitted.given
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
            batch = self._prepare(histories[start : start + self._batch_size])
            chosen = self._choose(batch, k)
            product = batch.weights @ self.evidence.stacked
            for row, (items, scores) in enumerate(chosen):
                stacked = row_of(product, row)
                origins = origins_of(stacked, batch.extra[row], batch.blocked[row], items)
                results.append(self._candidates(items, scores, origins))
        return results

    def rank(
        self, histories: Sequence[UserHistory], k: int
    ) -> list[tuple[NDArray[np.int32], NDArray[np.float64]]]:
        """The same order as `retrieve`, as ``item_ix`` and scores, without the origins."""
        results: list[tuple[NDArray[np.int32], NDArray[np.float64]]] = []
        for start in range(0, len(histories), self._batch_size):
            batch = self._prepare(histories[start : start + self._batch_size])
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
                product = users.weights(self._decay) @ self.evidence.fused
                scores[span] = columns_of(product, candidates[span])
        return scores

    def histories(self, histories: Sequence[UserHistory]) -> Histories:
        """Events as row numbers, -1 for items that are not in the catalog."""
        find = self.index.find
        rows = [
            [-1 if (item_ix := find(item_id)) is None else item_ix for item_id in history.item_ids]
            for history in histories
        ]
        return Histories.of(rows, self.index.n_items)

    def history_weights(self, histories: Sequence[UserHistory]) -> sparse.csr_array:
        """Weights ``float32 [b, n]`` of the items in each history, 1 for the latest."""
        return self.histories(histories).weights(self._decay)

    # --- one batch --------------------------------------------------------------------------

    def _prepare(self, histories: Sequence[UserHistory]) -> _Batch:
        users = self.histories(histories)
        blocked = np.repeat(~self.index.in_stock[None, :], len(users), axis=0)
        extra: list[dict[str, Scores]] = [{} for _ in histories]
        weights = users.weights(self._decay)
        for row, history in enumerate(histories):
            constraints = history.constraints
            if constraints.allow_out_of_stock:
                blocked[row] = False
            if constraints.allow_seen:
                extra[row][REPLAY] = self._replay(weights, row)
            else:
                blocked[row, users.row(row)] = True
            if constraints.exclude:
                rows = [self.index.find(item_id) for item_id in constraints.exclude]
                blocked[row, [item_ix for item_ix in rows if item_ix is not None]] = True
            if limits_items(constraints):
                blocked[row] |= self.limits.breaks(constraints)
        self._add_profiles(histories, extra, blocked)
        return _Batch(users, weights, blocked, extra)

    def _choose(self, batch: _Batch, k: int) -> list[tuple[NDArray[np.int32], NDArray[np.float64]]]:
        """Items and scores of each user, best first, ``min(k, eligible items)`` of them."""
        product = batch.weights @ self.evidence.fused
        n = k if self.ranker is None else max(k, self.ranker.depth)
        fused = [
            _best_allowed(row_of(product, row), batch.extra[row], batch.blocked[row], n)
            for row in range(len(batch.users))
        ]
        ranked = self._rank_again(batch, fused)
        return [
            self._filled(items[:k], scores[:k], batch.blocked[row], k)
            for row, (items, scores) in enumerate(ranked)
        ]

    def _rank_again(
        self, batch: _Batch, fused: list[Scores]
    ) -> list[tuple[NDArray[np.int32], NDArray[np.float64]]]:
        """The best candidates in the ranker's order, the others after them.

        A ranked candidate's score is its odds against the best one, above all that are not ranked.
        """
        results = [(items, scores.astype(np.float64)) for items, scores in fused]
        rows = [row for row in range(len(fused)) if self._is_ranked(batch, fused, row)]
        if self.ranker is None or not rows:
            return results
        depth = self.ranker.depth
        candidates = np.full((len(rows), depth), -1, np.int32)
        values = np.zeros((len(rows), depth), np.float32)
        for at, row in enumerate(rows):
            items, scores = fused[row]
            n = min(depth, len(items))
            candidates[at, :n], values[at, :n] = items[:n], scores[:n]
        found = self.ranker.scores(batch.users.take(np.array(rows)), candidates, values)
        for at, row in enumerate(rows):
            items, scores = results[row]
            n = min(depth, len(items))
            order = np.argsort(-found[at, :n], kind="stable")
            below = scores[n] if len(scores) > n else 0.0
            odds = below + np.exp(found[at, order] - found[at, order[0]])
            results[row] = (
                np.concatenate([items[order], items[n:]]),
                np.concatenate([odds, scores[n:]]),
            )
        return results

    def _is_ranked(self, batch: _Batch, fused: list[Scores], row: int) -> bool:
        return bool(len(fused[row][0]) and len(batch.users.row(row)) and not batch.extra[row])

    def _filled(
        self,
        items: NDArray[np.int32],
        scores: NDArray[np.float64],
        blocked: NDArray[np.bool_],
        k: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
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

    # --- evidence from elsewhere ------------------------------------------------------------

    def _replay(self, weights: sparse.csr_array, row: int) -> Scores:
        """The history itself, where its items may be listed again.

        As strong as an identity matrix scaled to unit deviation like the other sources.
        """
        items, values = row_of(weights, row)
        return items, values * np.float32(self._weighting.replay * np.sqrt(self.index.n_items))

    def _add_profiles(
        self,
        histories: Sequence[UserHistory],
        extra: list[dict[str, Scores]],
        blocked: NDArray[np.bool_],
    ) -> None:
        """Scores from the plain words about a user: through Chroma, or among what is allowed."""
        rows = [row for row, history in enumerate(histories) if history.profile]
        if not rows:
            return
        vectors = self.index.embedder.embed([histories[row].profile or "" for row in rows])
        found = self.index.store.query("items", vectors, _PROFILE_ITEMS)
        for row, vector, (items, cosines) in zip(rows, vectors, found, strict=True):
            if limits_items(histories[row].constraints):
                free = np.flatnonzero(~blocked[row])
                every = self.index.item_vectors[free] @ vector
                nearest = np.argsort(-every, kind="stable")[:_PROFILE_ITEMS]
                items, cosines = free[nearest], every[nearest]
            extra[row]["profile"] = (items.astype(np.int32), np.maximum(cosines, 0) ** 2)


def _best_allowed(
    fused: Scores, extra: dict[str, Scores], blocked: NDArray[np.bool_], n: int
) -> Scores:
    items, values = fused
    if extra:
        items = np.concatenate([items, *(found for found, _ in extra.values())])
        values = np.concatenate([values, *(strength for _, strength in extra.values())])
        items, place = np.unique(items, return_inverse=True)
        values = np.bincount(place, values, len(items)).astype(np.float32)
    free = ~blocked[items]
    return best(items[free], values[free], n)
