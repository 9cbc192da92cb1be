"""Why candidates were retrieved, in sentences built from the log: no model is involved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rag_rec.core import Evidence, UserHistory, plain_text
from rag_rec.retrieval.fusion.retriever import FusedRetriever
from rag_rec.retrieval.matrices import summands

_SENTENCES: Mapping[str, str] = {
    "sequence": "Often taken after “{}”.",
    "symmetric": "Often taken together with “{}”.",
    "content": "Similar to “{}”.",
    "smoothed": "Like what is taken after “{}”.",
    "reviews": "Its reviews read like those of “{}”.",
}


def strongest_links(
    retriever: FusedRetriever,
    history: UserHistory,
    item_ids: Sequence[str],
    near_profile: Collection[str] = (),
) -> dict[str, Evidence]:
    """The strongest single link from the history to each item.

    Where there is none, its closeness to the profile or its popularity, if it has either.

    Args:
        retriever: The retriever that proposed the items.
        history: The user.
        item_ids: The items.
        near_profile: Those of them that the user's plain words brought up.
    """
    index, evidence = retriever.index, retriever.evidence
    if not item_ids:
        return {}
    targets = np.array([index.find(item_id) or 0 for item_id in item_ids], np.int64)
    weights = retriever.history_weights([history])
    past, columns, values = summands(weights, evidence.stacked)
    items = columns % index.n_items
    order = np.argsort(targets)
    place = np.searchsorted(targets, items, sorter=order)
    place = order[np.minimum(place, len(order) - 1)]
    near = np.flatnonzero((targets[place] == items) & (values > 0))
    # the strongest of each target comes first, the earliest where several are as strong
    near = near[np.lexsort((near, -values[near], place[near]))]
    linked, first = np.unique(place[near], return_index=True)
    strength = np.zeros(len(targets), np.float32)
    strength[linked] = values[near[first]]
    link = {
        at: (evidence.names[columns[entry] // index.n_items], int(weights.indices[past[entry]]))
        for at, entry in zip(linked.tolist(), near[first].tolist(), strict=True)
    }

    def unlinked(item_id: str, item_ix: int) -> str:
        if item_id in near_profile:
            return "Close to what was asked for."
        taken = retriever.popularity[item_ix] > 0
        return "Popular with other users." if taken else "Nobody has taken it yet."

    return {
        item_id: Evidence(
            item_id=item_id,
            kind="history",
            text=_sentence(retriever, link[at]) if at in link else unlinked(item_id, item_ix),
            similarity=value,
        )
        for at, (item_id, item_ix, value) in enumerate(
            zip(item_ids, targets.tolist(), strength.tolist(), strict=True)
        )
    }


def _sentence(retriever: FusedRetriever, link: tuple[str, int]) -> str:
    name, past = link
    item = retriever.index.item(past)
    return _SENTENCES[name].format(plain_text(item.title) or item.item_id)
