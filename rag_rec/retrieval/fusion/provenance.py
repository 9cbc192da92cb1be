"""Provenance of candidates: the sources that propose them, and the links that explain them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import Evidence, plain_text
from rag_rec.index import ItemIndex
from rag_rec.retrieval.matrices import summands
from rag_rec.retrieval.stacked import ItemScores, StackedSources


class Provenance:
    """Ranks within each source; holds scratch space, so each thread needs one of its own.

    Args:
        names: The sources, in the order they are stacked.
        n_items: Number of items.
    """

    def __init__(self, names: Sequence[str], n_items: int) -> None:
        self._names = names
        self._n_items = n_items
        # scratch space, all -1 between users
        self._place = np.full(n_items, -1, np.int64)

    def of(
        self,
        stacked: ItemScores,
        extra: Mapping[str, ItemScores],
        *,
        blocked: NDArray[np.bool_],
        chosen: NDArray[np.int32],
    ) -> list[dict[str, int]]:
        """Return, for each chosen item, the rank from 1 that each source gives it.

        Args:
            stacked: A user's row of ``weights @ stacked``.
            extra: Scores that come from elsewhere, by source.
            blocked: ``bool [n]``, items that do not count.
            chosen: The items.
        """
        self._place[chosen] = np.arange(len(chosen))
        columns, values = stacked
        which = columns // np.int32(self._n_items)
        items = columns - which * np.int32(self._n_items)
        names = [*self._names, *extra]
        ranks = np.zeros((len(chosen), len(names)), np.int64)
        self._rank(ranks, which, (items, values), blocked)
        for at, scores in enumerate(extra.values(), len(self._names)):
            self._rank(ranks, np.full(len(scores[0]), at, np.int32), scores, blocked)
        self._place[chosen] = -1
        return ranks_by_source(names, ranks)

    def _rank(
        self,
        ranks: NDArray[np.int64],
        which: NDArray[np.int32],
        scores: ItemScores,
        blocked: NDArray[np.bool_],
    ) -> None:
        """Set the rank of each marked item within each source; ``which`` is that of each entry.

        Positive floats order like their bits, so one sort of source and value together ranks the
        entries of all sources.
        """
        items, values = scores
        keys = (which.astype(np.int64) << 32) | values.view(np.int32)
        free = ~blocked[items]
        ordered = np.sort(keys[free])
        at = self._place[items]
        hit = np.flatnonzero((at >= 0) & (values > 0) & free)
        at, which, keys = at[hit], which[hit], keys[hit]
        ends = np.searchsorted(ordered, np.arange(1, ranks.shape[1] + 1) << 32)
        ranks[at, which] = ends[which] - np.searchsorted(ordered, keys, side="right") + 1


def ranks_by_source(names: Sequence[str], ranks: NDArray[np.int64]) -> list[dict[str, int]]:
    """Return the ranks of each item that has some, by source.

    Args:
        names: The sources ``s``.
        ranks: ``[items, s]``, 0 where a source does not propose the item.
    """
    rows, columns = np.nonzero(ranks)
    pairs = zip(
        [names[column] for column in columns.tolist()], ranks[rows, columns].tolist(), strict=True
    )
    lengths = np.bincount(rows, minlength=len(ranks)).tolist()
    return [dict(islice(pairs, length)) for length in lengths]


def strongest_links(
    index: ItemIndex,
    sources: StackedSources,
    sentences: Mapping[str, str],
    *,
    weights: sparse.csr_array,
    item_ids: Sequence[str],
) -> dict[str, Evidence]:
    """Return the strongest single link from a history to each item that has one.

    Args:
        index: The index of the items.
        sources: The fitted sources.
        sentences: The sentence of each source, with ``{}`` for the title from the history.
        weights: ``float32 [1, n]``, weights of the items in the history.
        item_ids: The items to explain.
    """
    known = [item_id for item_id in item_ids if item_id in index.row_of]
    if not known:
        return {}
    targets = np.array([index.row_of[item_id] for item_id in known], np.int64)
    past, columns, values = summands(weights, sources.stacked)
    items = columns % index.n_items
    order = np.argsort(targets)
    place = np.searchsorted(targets, items, sorter=order)
    place = order[np.minimum(place, len(order) - 1)]
    near = np.flatnonzero((targets[place] == items) & (values > 0))
    # the strongest of each target comes first, the earliest where several are as strong
    near = near[np.lexsort((near, -values[near], place[near]))]
    linked, first = np.unique(place[near], return_index=True)
    found: dict[str, Evidence] = {}
    for at, entry in zip(linked.tolist(), near[first].tolist(), strict=True):
        name = sources.names[columns[entry] // index.n_items]
        item = index.item(int(weights.indices[past[entry]]))
        found[known[at]] = Evidence(
            item_id=known[at],
            kind="history",
            text=sentences[name].replace("{}", plain_text(item.title) or item.item_id),
            similarity=float(values[entry]),
        )
    return found
