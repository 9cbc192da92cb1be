"""Features of candidates: sources' scores and ranks, recency, popularity, text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import VectorRows
from rag_rec.retrieval.base import HistoryWeights, Matrices
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import (
    Extended,
    columns_of,
    dense,
    row_lengths,
    rows_times,
    unit_rows,
)
from rag_rec.retrieval.ranker.item_statistics import Floats, ItemStats
from rag_rec.retrieval.stacked import StackedSources

_SIMILAR = 20

SourceFeatures: TypeAlias = Mapping[str, tuple[HistoryWeights, ...]]
"""History weights under which each source's scores are features; see `Source.features`."""


class Features:
    """Features of candidates; no item or user number is one.

    Args:
        sources: The fitted sources.
        of_sources: Features to make of them, in order.
        stats: Numbers of single items.
        views: Further matrices, each a feature.
        vectors: The index's item vectors.
        decay: An event counts for 1/e less for every so many events after it.
    """

    def __init__(
        self,
        sources: StackedSources,
        of_sources: SourceFeatures,
        *,
        stats: ItemStats,
        views: Matrices,
        vectors: VectorRows,
        decay: float = 2.0,
    ) -> None:
        self.sources = sources
        self.decay = decay
        self._of_sources = of_sources
        self._stats = stats
        self._views: Mapping[str, Any] = views
        self._vectors = vectors
        self._log_popularity = np.log1p(stats.popularity)
        self._rarity = (1 / np.sqrt(stats.popularity + 1)).astype(np.float32)
        self._before = stats.next.T.tocsr()
        self._by_attribute = stats.attributes.T @ stats.popularity
        self._attribute_popularity = np.log1p(stats.attributes @ self._by_attribute)

    def __call__(
        self, users: Histories, candidates: NDArray[np.int32], scores: Floats
    ) -> dict[str, Floats]:
        """Return arrays ``float32 [b, c]`` by name.

        Args:
            users: ``b`` histories, each with a known item.
            candidates: ``[b, c]``, -1 at the end where there are fewer.
            scores: ``[b, c]``, the fused scores.
        """
        weights: dict[HistoryWeights, sparse.csr_array] = {
            "decayed": users.weights(self.decay),
            "last": users.last(),
            "all": users.weights(None),
        }
        found = self._by_source(weights, candidates)
        found |= self._log(weights, candidates)
        found |= self._items(weights["all"], candidates)
        found |= self._content(weights, candidates)
        found |= self._by_user(users, candidates)
        return found | _fused(scores)

    def extended(
        self, sources: StackedSources, links: sparse.csr_array, rows: Sequence[int]
    ) -> Features:
        """Return the features with those of items that came since the fit.

        Args:
            sources: The sources with the items' entries; see `StackedSources.extended`.
            links: Links between these items and others, ``float32 [n, n]``: a few more entries of
                each view. The items get the mean attributes of those they are linked to.
            rows: The items.
        """
        stats, n = self._stats, self.sources.n_items
        wider = copy(self)
        wider.sources = sources
        wider._views = {name: Extended(view, links) for name, view in self._views.items()}
        chosen = sparse.csr_array((np.ones(len(rows)), (rows, rows)), shape=(n, n))
        lent = unit_rows(sparse.csr_array(chosen @ links @ stats.attributes, dtype=np.float32))
        wider._stats = replace(stats, attributes=sparse.csr_array(stats.attributes + lent))
        wider._attribute_popularity = np.log1p(wider._stats.attributes @ self._by_attribute)
        return wider

    @property
    def is_new(self) -> NDArray[np.bool_]:
        """Mark the items without events, ``[n]``."""
        return self._stats.popularity == 0

    def fused_at(self, users: Histories, candidates: NDArray[np.int32]) -> Floats:
        """Return the fused scores of given candidates, ``[b, c]``."""
        return columns_of(rows_times(users.weights(self.decay), self.sources.fused), candidates)

    def _by_source(
        self, weights: dict[HistoryWeights, sparse.csr_array], candidates: NDArray[np.int32]
    ) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        n, names = self.sources.n_items, self.sources.names
        for weighting, rows in weights.items():
            wanted = [name for name, asked in self._of_sources.items() if weighting in asked]
            there = [name for name in wanted if name in names]
            columns = [np.maximum(candidates, 0) + names.index(name) * n for name in there]
            product = rows_times(rows, self.sources.stacked)
            said = columns_of(product, np.concatenate([candidates[:, :0], *columns], axis=1))
            parts = dict(zip(there, np.split(said, max(len(there), 1), axis=1), strict=False))
            for name in wanted:
                part = parts.get(name, np.zeros(candidates.shape, np.float32))
                part = part / np.float32(self.sources.factors.get(name, 1))
                found[f"{name}_{weighting}"] = part
                if weighting == "decayed":
                    found[f"{name}_rank"] = _ranks(np.where(candidates < 0, -1, part))
        return found

    def _log(
        self, weights: dict[HistoryWeights, sparse.csr_array], candidates: NDArray[np.int32]
    ) -> dict[str, Floats]:
        stats, rarity = self._stats, self._rarity
        rare = weights["decayed"].copy()
        rare.data *= rarity[rare.indices]
        return {
            "next_last": columns_of(rows_times(weights["last"], stats.next), candidates),
            "next_back": columns_of(rows_times(weights["decayed"], self._before), candidates),
            "together": columns_of(rows_times(weights["all"], stats.together), candidates),
            "together_cosine": columns_of(rows_times(rare, stats.together), candidates)
            * rarity[candidates],
        }

    def _items(self, seen: sparse.csr_array, candidates: NDArray[np.int32]) -> dict[str, Floats]:
        stats, popular = self._stats, self._log_popularity
        length = np.maximum(seen.sum(axis=1), 1)[:, None]
        late = stats.late[candidates]
        return {
            "popularity": popular[candidates],
            "late": np.log1p(late),
            "late_share": (late + 0.2) / (stats.popularity[candidates] + 1),
            "place": stats.place[candidates],
            "time": stats.time[candidates],
            "length": _wide(length, candidates),
            "popularity_history": _wide((seen @ popular)[:, None] / length, candidates),
        }

    def _content(
        self, weights: dict[HistoryWeights, sparse.csr_array], candidates: NDArray[np.int32]
    ) -> dict[str, Floats]:
        found = {
            name: columns_of(rows_times(weights["decayed"], view), candidates)
            for name, view in self._views.items()
        }
        attributes = self._stats.attributes
        shared = {
            name: _dot(dense(rows @ attributes), attributes, candidates)
            for name, rows in weights.items()
        }
        length = np.maximum(weights["all"].sum(axis=1), 1)[:, None]
        found["attributes_decayed"] = shared["decayed"]
        found["attributes_last"] = shared["last"]
        found["attributes_share"] = (shared["all"] / length).astype(np.float32)
        found["attributes_popularity"] = self._attribute_popularity[candidates]
        return found

    def _by_user(self, users: Histories, candidates: NDArray[np.int32]) -> dict[str, Floats]:
        time, popular = self._stats.time, self._log_popularity
        rows = [users.row(user) for user in range(len(users))]
        last = np.array([items[-1] for items in rows])[:, None]
        late = [items[-3:] for items in rows]
        lengths = np.array([len(items) for items in late], np.float32)
        starts = np.cumsum([0, *map(len, late[:-1])])
        mean_time = np.add.reduceat(time[np.concatenate(late)], starts) / lengths
        names = ("vectors_last", "vectors_most", "vectors_mean")
        found = {name: np.empty(candidates.shape, np.float32) for name in names}
        for user, items in enumerate(rows):
            cosines = self._vectors[candidates[user]] @ self._vectors[items[-_SIMILAR:]].T
            found["vectors_last"][user] = cosines[:, -1]
            found["vectors_most"][user] = cosines.max(axis=1)
            found["vectors_mean"][user] = cosines.mean(axis=1)
        return found | {
            "time_since": time[candidates] - mean_time[:, None],
            "time_since_last": time[candidates] - time[last],
            "popularity_last": _wide(popular[last], candidates),
        }


def _fused(scores: Floats) -> dict[str, Floats]:
    return {
        "fused": scores,
        "fused_share": scores / (scores.max(axis=1, keepdims=True) + np.float32(1e-9)),
        "fused_rank": _ranks(scores),
    }


def _dot(left: Floats, right: sparse.csr_array, rows: NDArray[np.int32]) -> Floats:
    """Multiply each row of ``left [b, a]`` by its own ``rows [b, c]`` of ``right [n, a]``."""
    chosen = right[rows.ravel()]
    place = np.repeat(np.arange(rows.size), row_lengths(chosen))
    products = chosen.data * left[place // rows.shape[1], chosen.indices]
    return np.bincount(place, products, rows.size).astype(np.float32).reshape(rows.shape)


def _ranks(values: Floats) -> Floats:
    ranks = np.empty(values.shape, np.float32)
    order = (-values).argsort(1, kind="stable")
    places = np.broadcast_to(np.arange(values.shape[1], dtype=np.float32), values.shape)
    np.put_along_axis(ranks, order, places, axis=1)
    return ranks


def _wide(values: NDArray[np.generic], like: NDArray[np.generic]) -> Floats:
    return np.broadcast_to(values, like.shape).astype(np.float32)
