"""Explanations: the strongest link from a history to an item, as a sentence; no model writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from rag_rec.core import Evidence, plain_text
from rag_rec.index import ItemIndex
from rag_rec.retrieval.fusion.stacked import Evidence as Stacked
from rag_rec.retrieval.matrices import summands

_SENTENCES: Mapping[str, str] = {
    "sequence": "Often taken after “{}”.",
    "symmetric": "Often taken together with “{}”.",
    "content": "Similar to “{}”.",
    "smoothed": "Like what is taken after “{}”.",
    "reviews": "Its reviews read like those of “{}”.",
}


def strongest_links(
    index: ItemIndex, sources: Stacked, weights: sparse.csr_array, item_ids: Sequence[str]
) -> dict[str, Evidence]:
    """Return the strongest single link from a history to each item that has one.

    Args:
        index: The index of the items.
        sources: The fitted sources.
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
            text=_SENTENCES[name].format(plain_text(item.title) or item.item_id),
            similarity=float(values[entry]),
        )
    return found
