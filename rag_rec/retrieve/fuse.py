"""The fused retriever: weighted evidence of all sources, one sparse product for many users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import ItemIndex
from rag_rec.retrieve.fit import load_sources
from rag_rec.types import Candidate, UserHistory

_BATCH = 256
_PROFILE_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Scores:
    """A user's scores: items with evidence, and the score of each."""

    items: NDArray[np.int32]
    values: NDArray[np.float32]


class FusedRetriever:
    """Sums what the sources say of each candidate; popularity fills what is left.

    Args:
        index: An open index version.
        decay: An event counts for 1/e less for every ``decay`` events after it.
    """

    def __init__(self, index: ItemIndex, *, decay: float = 2.0) -> None:
        self.index = index
        self._decay = decay
        matrices, self._popular = load_sources(index.folder)
        settings = index.manifest.retrieval["sources"]
        self.matrices = {
            name: matrix * np.float32(settings[name]["weight"] / settings[name]["scale"])
            for name, matrix in matrices.items()
        }
        self._by_popularity = np.lexsort((np.arange(index.n_items), -self._popular))
        place = np.empty(index.n_items, np.int64)
        place[self._by_popularity] = np.arange(index.n_items)
        self._popularity_rank = place + 1
        # scratch space, all zeros and all -1 between users
        self._total = np.zeros(index.n_items, np.float32)
        self._place = np.full(index.n_items, -1, np.int64)

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        results: list[list[Candidate]] = []
        for start in range(0, len(histories), _BATCH):
            results += self._batch(histories[start : start + _BATCH], k)
        return results

    def history_weights(self, histories: Sequence[UserHistory]) -> sparse.csr_array:
        """Weights ``float32 [b, n]`` of the items in each history, 1 for the latest."""
        pointers = [0]
        columns: list[int] = []
        ages: list[int] = []
        find = self.index.find
        for history in histories:
            latest: dict[int, int] = {}
            for age, item_id in enumerate(reversed(history.item_ids)):
                item_ix = find(item_id)
                if item_ix is not None:
                    latest.setdefault(item_ix, age)
            columns += latest
            ages += latest.values()
            pointers.append(len(columns))
        values = np.exp(-np.array(ages, np.float32) / np.float32(self._decay))
        shape = (len(histories), self.index.n_items)
        return sparse.csr_array((values, columns, pointers), shape=shape)

    def _batch(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        weights = self.history_weights(histories)
        evidence = {name: weights @ matrix for name, matrix in self.matrices.items()}
        profiles = self._profile_scores(histories)
        blocked = np.zeros(self.index.n_items, np.bool_)
        results: list[list[Candidate]] = []
        for row, history in enumerate(histories):
            sources = {name: _row(matrix, row) for name, matrix in evidence.items()}
            if row in profiles:
                sources["profile"] = profiles[row]
            self._block(history, blocked)
            results.append(self._one(sources, blocked, k))
        return results

    def _block(self, history: UserHistory, blocked: NDArray[np.bool_]) -> None:
        """Marks the items this user may not be shown."""
        constraints = history.constraints
        if constraints.allow_out_of_stock:
            blocked.fill(False)
        else:
            np.logical_not(self.index.in_stock, out=blocked)
        seen = () if constraints.allow_seen else history.item_ids
        for item_id in (*seen, *constraints.exclude):
            item_ix = self.index.find(item_id)
            if item_ix is not None:
                blocked[item_ix] = True

    def _one(
        self, sources: dict[str, Scores], blocked: NDArray[np.bool_], k: int
    ) -> list[Candidate]:
        allowed = {name: _without(scores, blocked) for name, scores in sources.items()}
        chosen, scores = self._best(list(allowed.values()), k)
        if len(chosen) < k:
            spare = self._fill(chosen, blocked, k - len(chosen))
            chosen = np.concatenate([chosen, spare])
            scores = np.concatenate([scores, np.zeros(len(spare), np.float32)])
        origins: list[dict[str, int]] = [{} for _ in chosen]
        self._place[chosen] = np.arange(len(chosen))
        for name, part in allowed.items():
            for place, rank in _ranks(part, self._place):
                origins[place][name] = rank
        self._place[chosen] = -1
        ids = self.index.item_ids
        return [
            Candidate(ids[ix], score, origin or {"popular": int(self._popularity_rank[ix])})
            for ix, score, origin in zip(chosen.tolist(), scores.tolist(), origins, strict=True)
        ]

    def _best(self, parts: list[Scores], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The ``k`` items with the largest positive sums, largest first, ties by item."""
        total = self._total
        for part in parts:
            total[part.items] += part.values
        touched = np.concatenate([part.items for part in parts])
        values = total[touched]
        # an item is touched once by each source, so k distinct ones are among len(parts) * k
        n = len(parts) * k
        if len(values) > n:
            near = np.argpartition(-values, n - 1)[:n]
            cut = values[near].min()
            items = np.unique(touched[values >= cut])
        else:
            items = np.unique(touched)
        values = total[items]
        total[touched] = 0
        order = np.lexsort((items, -values))[:k]
        order = order[values[order] > 0]
        return items[order], values[order]

    def _fill(
        self, chosen: NDArray[np.int32], blocked: NDArray[np.bool_], n: int
    ) -> NDArray[np.int32]:
        """The ``n`` most popular allowed items that are not chosen yet."""
        taken = blocked.copy()
        taken[chosen] = True
        free = self._by_popularity[~taken[self._by_popularity]]
        return free[:n].astype(np.int32)

    def _profile_scores(self, histories: Sequence[UserHistory]) -> dict[int, Scores]:
        """Scores from the plain words about a user, through Chroma."""
        rows = [row for row, history in enumerate(histories) if history.profile]
        if not rows:
            return {}
        vectors = self.index.embedder.embed([histories[row].profile or "" for row in rows])
        found = self.index.store.query("items", vectors, _PROFILE_ITEMS)
        return {
            row: Scores(ix.astype(np.int32), np.maximum(cosines, 0) ** 2)
            for row, (ix, cosines) in zip(rows, found, strict=True)
        }


def _row(matrix: sparse.csr_array, row: int) -> Scores:
    span = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return Scores(matrix.indices[span], matrix.data[span])


def _without(scores: Scores, blocked: NDArray[np.bool_]) -> Scores:
    keep = ~blocked[scores.items]
    return Scores(scores.items[keep], scores.values[keep])


def _ranks(scores: Scores, place: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Place and rank from 1, within one source, of the items that ``place`` marks."""
    where = place[scores.items]
    hit = (where >= 0) & (scores.values > 0)
    if not hit.any():
        return []
    ascending = np.sort(scores.values)
    ranks = len(ascending) - np.searchsorted(ascending, scores.values[hit], side="right") + 1
    return list(zip(where[hit].tolist(), ranks.tolist(), strict=True))
