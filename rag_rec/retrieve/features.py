"""What the ranker sees of a candidate: sources' scores and ranks, recency, popularity, text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import Vectors
from rag_rec.retrieve.content import Views
from rag_rec.retrieve.evidence import Evidence
from rag_rec.retrieve.histories import Histories
from rag_rec.retrieve.matrices import dense
from rag_rec.retrieve.stats import Floats, ItemStats

_SIMILAR = 20
_SOURCES = {
    "sequence": ("decayed", "last", "all"),
    "symmetric": ("decayed", "all"),
    "smoothed": ("decayed", "last"),
    "content": ("decayed", "last", "all"),
}


@dataclass(frozen=True, slots=True)
class Features:
    """Features of candidates; no item or user number is one.

    Attributes:
        evidence: The sources.
        stats: Numbers of single items.
        views: The content source's views.
        vectors: The index's item vectors.
        decay: An event counts for 1/e less for every so many events after it.
    """

    evidence: Evidence
    stats: ItemStats
    views: Views
    vectors: Vectors
    decay: float = 2.0

    def __call__(
        self, users: Histories, candidates: NDArray[np.int32], scores: Floats
    ) -> dict[str, Floats]:
        """Arrays ``float32 [b, c]`` by name.

        Args:
            users: ``b`` histories, each with a known item.
            candidates: ``[b, c]``, -1 at the end where there are fewer.
            scores: ``[b, c]``, the fused scores.
        """
        weights = {
            "decayed": users.weights(self.decay),
            "last": users.last(),
            "all": users.weights(None),
        }
        found = self._sources(weights, candidates)
        found |= self._log(weights, candidates)
        found |= self._items(weights["all"], candidates)
        found |= self._text(weights, users, candidates)
        return found | _fused(scores)

    def _sources(
        self, weights: dict[str, sparse.csr_array], candidates: NDArray[np.int32]
    ) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        n, names = self.evidence.n_items, self.evidence.names
        for weighting, rows in weights.items():
            scores = dense(rows @ self.evidence.stacked)
            for name, wanted in _SOURCES.items():
                if weighting not in wanted:
                    continue
                part = _zeros(candidates)
                if name in names:
                    columns = np.maximum(candidates, 0) + names.index(name) * n
                    part = np.take_along_axis(scores, columns, 1) / np.float32(
                        self.evidence.factors[name]
                    )
                found[f"{name}_{weighting}"] = part
                if weighting == "decayed":
                    found[f"{name}_rank"] = _ranks(np.where(candidates < 0, -1, part))
        return found

    def _log(
        self, weights: dict[str, sparse.csr_array], candidates: NDArray[np.int32]
    ) -> dict[str, Floats]:
        stats = self.stats
        rarity = (1 / np.sqrt(stats.popularity + 1)).astype(np.float32)
        rare = sparse.csr_array(weights["decayed"] * rarity[None, :])
        return {
            "next_last": _at(weights["last"] @ stats.next, candidates),
            "next_back": _at(weights["decayed"] @ stats.next.T.tocsr(), candidates),
            "together": _at(weights["all"] @ stats.together, candidates),
            "together_cosine": _at(rare @ stats.together, candidates) * rarity[candidates],
        }

    def _items(self, seen: sparse.csr_array, candidates: NDArray[np.int32]) -> dict[str, Floats]:
        stats, popular = self.stats, np.log1p(self.stats.popularity)
        length = np.maximum(seen.sum(axis=1), 1)[:, None]
        late = stats.late
        return {
            "popularity": popular[candidates],
            "late": np.log1p(late)[candidates],
            "late_share": ((late + 0.2) / (stats.popularity + 1))[candidates],
            "place": stats.place[candidates],
            "time": stats.time[candidates],
            "length": _wide(length, candidates),
            "popularity_history": _wide((seen @ popular)[:, None] / length, candidates),
        }

    def _text(
        self, weights: dict[str, sparse.csr_array], users: Histories, candidates: NDArray[np.int32]
    ) -> dict[str, Floats]:
        stats, decayed = self.stats, weights["decayed"]
        rows = stats.attributes
        turned = rows.T.tocsr()
        length = np.maximum(weights["all"].sum(axis=1), 1)[:, None]
        found = {name: _at(decayed @ view, candidates) for name, view in self.views.items()}
        found["attributes_decayed"] = _at((decayed @ rows) @ turned, candidates)
        found["attributes_last"] = _at((weights["last"] @ rows) @ turned, candidates)
        shared = _at((weights["all"] @ rows) @ turned, candidates)
        found["attributes_share"] = (shared / length).astype(np.float32)
        found["attributes_popularity"] = np.log1p(rows @ (turned @ stats.popularity))[candidates]
        return found | self._by_user(users, candidates)

    def _by_user(self, users: Histories, candidates: NDArray[np.int32]) -> dict[str, Floats]:
        names = (
            "vectors_last",
            "vectors_most",
            "vectors_mean",
            "time_since",
            "time_since_last",
            "popularity_last",
        )
        found = {name: _zeros(candidates) for name in names}
        time, popular = self.stats.time, np.log1p(self.stats.popularity)
        for user in range(len(users)):
            items, proposed = users.row(user), candidates[user]
            cosines = self.vectors[proposed] @ self.vectors[items[-_SIMILAR:]].T
            found["vectors_last"][user] = cosines[:, -1]
            found["vectors_most"][user] = cosines.max(axis=1)
            found["vectors_mean"][user] = cosines.mean(axis=1)
            found["time_since"][user] = time[proposed] - time[items[-3:]].mean()
            found["time_since_last"][user] = time[proposed] - time[items[-1]]
            found["popularity_last"][user] = popular[items[-1]]
        return found


def _fused(scores: Floats) -> dict[str, Floats]:
    return {
        "fused": scores,
        "fused_share": scores / (scores.max(axis=1, keepdims=True) + np.float32(1e-9)),
        "fused_rank": _ranks(scores),
    }


def _at(product: sparse.csr_array, candidates: NDArray[np.int32]) -> Floats:
    """The candidates' columns of each row; -1 reads the last column and means nothing."""
    return np.take_along_axis(dense(product), candidates, 1)


def _ranks(values: Floats) -> Floats:
    return (-values).argsort(1, kind="stable").argsort(1, kind="stable").astype(np.float32)


def _wide(values: NDArray[np.generic], like: NDArray[np.generic]) -> Floats:
    return np.broadcast_to(values, like.shape).astype(np.float32)


def _zeros(like: NDArray[np.generic]) -> Floats:
    return np.zeros(like.shape, np.float32)
