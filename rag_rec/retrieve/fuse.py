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

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        results: list[list[Candidate]] = []
        for start in range(0, len(histories), _BATCH):
            results += self._batch(histories[start : start + _BATCH], k)
        return results

    def history_weights(self, histories: Sequence[UserHistory]) -> sparse.csr_array:
        """Weights ``float32 [b, n]`` of the items in each history, 1 for the latest."""
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for row, history in enumerate(histories):
            seen: set[int] = set()
            for age, item_id in enumerate(reversed(history.item_ids)):
                item_ix = self.index.find(item_id)
                if item_ix is None or item_ix in seen:
                    continue
                seen.add(item_ix)
                rows.append(row)
                columns.append(item_ix)
                values.append(float(np.exp(-age / self._decay)))
        shape = (len(histories), self.index.n_items)
        return sparse.csr_array((np.array(values, np.float32), (rows, columns)), shape=shape)

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
            blocked.fill(False)  # noqa: FBT003
        else:
            np.logical_not(self.index.in_stock, out=blocked)
        seen = () if constraints.allow_seen else history.item_ids
        for item_id in (*seen, *constraints.exclude):
            item_ix = self.index.find(item_id)
            if item_ix is not None:
                blocked[item_ix] = True

    def _one(self, sources: dict[str, Scores], blocked: NDArray[np.bool_], k: int) -> list[Candidate]:
        allowed = {name: _without(scores, blocked) for name, scores in sources.items()}
        items, values = _sum(list(allowed.values()))
        best = _top(items, values, k)
        chosen, scores = items[best], values[best]
        if len(chosen) < k:
            spare = self._fill(chosen, blocked, k - len(chosen))
            chosen = np.concatenate([chosen, spare])
            scores = np.concatenate([scores, np.zeros(len(spare), np.float32)])
        ranks = {name: _ranks(scores, chosen) for name, scores in allowed.items()}
        ids = self.index.item_ids
        return [
            Candidate.model_construct(
                item_id=ids[item_ix],
                score=float(score),
                sources={name: int(row[place]) for name, row in ranks.items() if row[place]}
                or {"popular": int(self._popularity_rank[item_ix])},
            )
            for place, (item_ix, score) in enumerate(zip(chosen, scores, strict=True))
        ]

    def _fill(self, chosen: NDArray[np.int32], blocked: NDArray[np.bool_], n: int) -> NDArray[np.int32]:
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


def _sum(parts: list[Scores]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Distinct items of all parts in ascending order, and the sum of their scores."""
    items, inverse = np.unique(np.concatenate([part.items for part in parts]), return_inverse=True)
    values = np.bincount(inverse, np.concatenate([part.values for part in parts]), len(items))
    return items, values.astype(np.float32)


def _top(items: NDArray[np.int32], values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Places of the ``k`` largest positive values, largest first, ties by item."""
    if len(values) > k:
        cut = -np.partition(-values, k - 1)[k - 1]
        places = np.flatnonzero(values >= cut)
    else:
        places = np.arange(len(values))
    places = places[values[places] > 0]
    return places[np.lexsort((items[places], -values[places]))][:k]


def _ranks(scores: Scores, chosen: NDArray[np.int32]) -> NDArray[np.int64]:
    """Rank from 1 of each chosen item within one source, 0 where the source is silent."""
    ranks = np.zeros(len(chosen), np.int64)
    if not len(scores.items):
        return ranks
    order = np.argsort(scores.items)
    items = scores.items[order]
    place = np.minimum(np.searchsorted(items, chosen), len(items) - 1)
    found = (items[place] == chosen) & (scores.values[order[place]] > 0)
    descending = np.sort(scores.values)[::-1]
    values = scores.values[order[place]]
    ranks[found] = np.searchsorted(-descending, -values[found]) + 1
    return ranks
