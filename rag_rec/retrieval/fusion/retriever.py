"""The fused retriever: weighted evidence of all sources, one sparse product for many users."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.index import ItemIndex, LiveIndex
from rag_rec.retrieval.base import Retriever
from rag_rec.retrieval.fusion.fitted import FOLDER, FusionRecord, load_rankers
from rag_rec.retrieval.fusion.live_fit import LiveFit
from rag_rec.retrieval.fusion.provenance import Provenance, strongest_links
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.item_item import Popularity
from rag_rec.retrieval.matrices import load_array, row_lengths, row_of, rows_times, side_by_side
from rag_rec.retrieval.queries import QueryBatch, read_queries
from rag_rec.retrieval.ranker.lambdamart import Ranked, rank_again
from rag_rec.retrieval.stacked import (
    ItemScores,
    StackedSources,
    best,
    best_of_rows,
    order_keys,
    with_places_kept,
)
from rag_rec.retrieval.weighting.weights import Weighting

Found = TypeVar("Found")

_BATCH = 128
_BATCH_ENTRIES = 2**25


def open_retriever(index: ItemIndex, *, decay: float | None = None) -> Retriever:
    """Open the retriever that was fitted with an index; it takes seconds and memory.

    Args:
        index: An open index version.
        decay: An event counts for 1/e less for every ``decay`` events after it; None takes the
            value the index was fitted with.

    Raises:
        StorageError: If a file of it cannot be read.
    """
    return FusedRetriever(index, decay=decay)


class FusedRetriever:
    """Sums the scores that the sources give each candidate; popularity fills the rest of a list.

    Where the index holds a ranker, it orders the best candidates again that are new to a user. It
    does so for users with a history and without plain words: those it was fitted on.

    Args:
        index: An open index version.
        decay: See `open_retriever`.
    """

    def __init__(self, index: ItemIndex, *, decay: float | None = None) -> None:
        folder, record = (
            index.folder / FOLDER,
            FusionRecord.model_validate(index.manifest.retrieval),
        )
        weights = {name: source.weight for name, source in record.sources.items()}
        self.index = index
        self.weighting = Weighting(
            weights, decay or record.decay, record.replay, record.replay_decay
        )
        self._sentences = {name: source.sentence for name, source in record.sources.items()}
        matrices = {name: load_array(folder, name) for name in weights}
        self.sources = StackedSources(matrices, weights, index.n_items)
        _ = self.sources.fused  # now, not when the first user asks
        self.ranker, self.ranker_of_given = load_rankers(
            index, record, self.sources, self.weighting.decay
        )
        self._follows = threading.Lock()
        self._live = (
            LiveFit(index, self.sources, self.ranker, record.config["sources"])
            if isinstance(index, LiveIndex)
            else None
        )
        popularity = load_array(folder, Popularity.name)
        popularity = np.pad(popularity, (0, index.n_items - len(popularity)))
        self.by_popularity = np.lexsort((np.arange(index.n_items), -popularity))
        self._popularity_rank = np.empty(index.n_items, np.int64)
        self._popularity_rank[self.by_popularity] = np.arange(1, index.n_items + 1)
        self._batch_size = max(1, min(_BATCH, _BATCH_ENTRIES // max(index.n_items, 1)))

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        self._follow()
        return self._by_batch(histories, lambda batch: self._candidates(batch, k))

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """See `Retriever.explain`."""
        self._follow()
        return strongest_links(
            self.index,
            self.sources,
            self._sentences,
            weights=self.history_weights([history]),
            item_ids=item_ids,
        )

    def rank(self, histories: Sequence[UserHistory], k: int) -> list[Ranked]:
        """Return the order of `retrieve` as ``item_ix`` and scores, without provenance."""
        self._follow()
        return self._by_batch(histories, lambda batch: self._choose(batch, k))

    def history_weights(self, histories: Sequence[UserHistory]) -> sparse.csr_array:
        """Return weights ``float32 [b, n]`` of the items in each history, 1 for the latest."""
        return Histories.of_users(self.index, histories).weights(self.weighting.decay)

    def _follow(self) -> None:
        """Take up the items that came since the last time."""
        if self._live is not None and self._live.is_behind:
            with self._follows:
                if self._live.is_behind:
                    self.sources, self.ranker = self._live.extend()

    def _by_batch(
        self, histories: Sequence[UserHistory], work: Callable[[QueryBatch], list[Found]]
    ) -> list[Found]:
        """Return what ``work`` finds for each user; batches are worked on side by side."""

        def found(start: int) -> list[Found]:
            some = histories[start : start + self._batch_size]
            return work(read_queries(self.index, self.weighting, some))

        parts = side_by_side(found, range(0, len(histories), self._batch_size))
        return [row for rows in parts for row in rows]

    def _choose(self, batch: QueryBatch, k: int) -> list[Ranked]:
        """Return items and scores of each user, best first, ``min(k, eligible items)`` of them."""
        product = rows_times(batch.weights, self.sources.fused)
        n = k if self.ranker is None else max(k, self.ranker.depth)
        keys = order_keys(product.indices, product.data)
        owners = np.repeat(np.arange(len(batch.users)), row_lengths(product))
        keys[batch.blocked[owners, product.indices]] = 0
        fused = self._best(keys, product, n)
        for row, extra in enumerate(batch.extra):
            if extra:
                scores = [row_of(product, row), *extra.values()]
                fused[row] = _best_of_sum(scores, batch.blocked[row], n)
        ranked = rank_again(self.ranker, batch, fused)
        return [
            self._filled((items[:k], scores[:k]), batch.blocked[row], k)
            for row, (items, scores) in enumerate(ranked)
        ]

    def _best(self, keys: NDArray[np.int64], product: Any, n: int) -> list[ItemScores]:
        """Return the ``n`` best items of each user, places kept for new ones where it says so."""
        ends = product.indptr.tolist()
        found = best_of_rows(keys, ends, n)
        if self.ranker is None or not self.ranker.new.places:
            return found
        depth, places = self.ranker.depth, self.ranker.new.places
        new = np.flatnonzero(self.ranker.is_new[product.indices])
        others = best_of_rows(keys[new], np.searchsorted(new, ends).tolist(), places)
        return [
            with_places_kept(whole, kept, depth, places)
            for whole, kept in zip(found, others, strict=True)
        ]

    def _filled(self, ranked: Ranked, blocked: NDArray[np.bool_], k: int) -> Ranked:
        """Fill up with the most popular eligible items that are not chosen yet, scored 0."""
        items, scores = ranked
        if len(items) >= k:
            return ranked
        taken = blocked.copy()
        taken[items] = True
        free = self.by_popularity[~taken[self.by_popularity]][: k - len(items)]
        return (
            np.concatenate([items, free.astype(np.int32)]),
            np.concatenate([scores, np.zeros(len(free))]),
        )

    def _candidates(self, batch: QueryBatch, k: int) -> list[list[Candidate]]:
        """Return the items of each user with their scores and their ranks within each source."""
        provenance = Provenance(self.sources.names, self.index.n_items)
        product = rows_times(batch.weights, self.sources.stacked)
        ids, results = self.index.item_ids, []
        for row, (items, scores) in enumerate(self._choose(batch, k)):
            found = provenance.of(
                row_of(product, row), batch.extra[row], blocked=batch.blocked[row], chosen=items
            )
            places = items.tolist()
            sources = [
                ranks or {Popularity.name: int(self._popularity_rank[ix])}
                for ix, ranks in zip(places, found, strict=True)
            ]
            names = [ids[ix] for ix in places]
            results.append(list(map(Candidate, names, scores.tolist(), sources)))
        return results


def _best_of_sum(scores: Sequence[ItemScores], blocked: NDArray[np.bool_], n: int) -> ItemScores:
    """Return the best by the sum of scores from several places."""
    items = np.concatenate([found for found, _ in scores])
    items, place = np.unique(items, return_inverse=True)
    values = np.bincount(place, np.concatenate([values for _, values in scores]), len(items))
    free = ~blocked[items]
    return best(items[free], values[free].astype(np.float32), n)
