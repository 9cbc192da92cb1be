"""A fit with what came since: new items in their places, and what live events teach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import LiveIndex
from rag_rec.retrieval.fusion.live_events import LiveEvents
from rag_rec.retrieval.item_item import Content, Slit
from rag_rec.retrieval.ranker.lambdamart import NewItems, Ranker
from rag_rec.retrieval.stacked import StackedSources

Settings = TypeVar("Settings", Content, Slit)

_GRANTED = NewItems(places=20, bonus=0.5)
"""For new items, where the catalog of the build had too few to learn what they need.

On Beauty this costs the lists of all users nothing; twice the bonus finds more of the new ones, and
costs 3 % (eval/reports/live.md)."""

_COMPARED = 1e-3  # cosines below are of texts that share nothing


class Place(NamedTuple):
    """The neighbours of a new item by its text.

    Attributes:
        near: ``int64 [m]``, rows of the nearest items.
        from_it: ``float32 [m]``, how strongly it speaks for each: a row of the content source.
        to_it: ``float32 [m]``, how strongly each speaks for it: a column of the same.
    """

    near: NDArray[np.int64]
    from_it: NDArray[np.float32]
    to_it: NDArray[np.float32]


class LiveFit:
    """Places new items by their text; the rest of a fit stays as it was built.

    The source `content` gives an item the nearest others by cosine, each to a power and as a share
    of their sum. So it does here, by vectors alone: what would need the words of all texts waits
    for the next build.

    Args:
        index: The index.
        sources: The sources as they were fitted.
        ranker: The ranker as it was fitted.
        settings: The settings of the sources, as the manifest holds them.
    """

    def __init__(
        self,
        index: LiveIndex,
        sources: StackedSources,
        ranker: Ranker | None,
        settings: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._index, self._sources, self._ranker = index, sources, ranker
        self._content = _as_fitted(Content(), settings)
        self._places: dict[int, Place] = {}
        self._vectors: dict[int, bytes] = {}
        self._events = LiveEvents(index, _as_fitted(Slit(), settings))
        self._n_changed = 0

    @property
    def is_behind(self) -> bool:
        """True if items came or got another text, or much was recorded, since `extend`."""
        return self._n_changed != self._index.n_changed or self._events.is_behind

    def extend(self) -> tuple[StackedSources, Ranker | None]:
        """Return the sources and the ranker with all new items in their places."""
        self._n_changed, rows = self._index.n_changed, list(self._index.new_rows)
        for row, vector in zip(rows, self._index.vectors_of(rows), strict=True):
            if self._vectors.get(row) != vector.tobytes():
                self._vectors[row] = vector.tobytes()
                self._places[row] = self._place(row, vector)
        n = self._index.n_items
        entries = _matrix(((row, self._places[row]) for row in rows), n)
        more = {Content.name: entries, Slit.name: self._events.entries()}
        sources = self._sources.extended(more)
        if self._ranker is None:
            return sources, None
        features = self._ranker.features.extended(sources, entries, rows)
        granted = self._ranker.new if self._ranker.new.places or not rows else _GRANTED
        return sources, self._ranker.reading(features, granted)

    def _place(self, row: int, vector: NDArray[np.float32]) -> Place:
        cosines = self._index.cosines(vector)
        cosines[row] = 0
        n = min(self._content.n_blend, len(cosines))
        near = np.argpartition(cosines, len(cosines) - n)[-n:]
        near = np.sort(near[cosines[near] > _COMPARED])
        power = self._content.vector_power
        values = cosines[near] ** power
        crowd = np.array([self._crowd(int(other)) for other in near], np.float32)
        return Place(
            near,
            (values / max(float(values.sum()), 1e-12)).astype(np.float32),
            (values / np.maximum(crowd + values, 1e-12)).astype(np.float32),
        )

    def _crowd(self, row: int) -> float:
        """Return the sum over a row's nearest items that a new neighbour's share is of."""
        vectors = self._index.vectors_of(np.append(self._nearest_of(row), row))
        return float(
            (np.maximum(vectors[:-1] @ vectors[-1], 0) ** self._content.vector_power).sum()
        )

    def _nearest_of(self, row: int) -> NDArray[np.int64]:
        if row in self._places:
            return self._places[row].near
        if Content.name not in self._sources.names:
            return np.empty(0, np.int64)
        stacked, n = self._sources.stacked, self._sources.n_items
        start = self._sources.names.index(Content.name) * n
        columns = stacked.indices[stacked.indptr[row] : stacked.indptr[row + 1]]
        own = (columns >= start) & (columns < start + n)
        values = stacked.data[stacked.indptr[row] : stacked.indptr[row + 1]][own]
        strongest = np.argsort(-values, kind="stable")[: self._content.n_blend]
        return (columns[own][strongest] - start).astype(np.int64)


def _as_fitted(source: Settings, settings: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Return a source with the numbers that it was fitted with."""
    numbers = settings.get(source.name, {})
    known = {field.name for field in fields(source) if field.type in {"float", "int"}}
    return replace(source, **{name: numbers[name] for name in known & numbers.keys()})


def _matrix(places: Iterable[tuple[int, Place]], n: int) -> sparse.csr_array:
    """Return the rows and columns of new items as one matrix ``float32 [n, n]``."""
    rows, columns, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], []
    for row, place in places:
        itself = np.full(len(place.near), row)
        rows += [itself, place.near]
        columns += [place.near, itself]
        values += [place.from_it, place.to_it]
    data = np.concatenate([np.empty(0, np.float32), *values])
    where = np.concatenate(rows) * n + np.concatenate(columns)
    kept, first = np.unique(where, return_index=True)  # two new items state a link both ways
    return sparse.csr_array((data[first], np.divmod(kept, n)), shape=(n, n))
