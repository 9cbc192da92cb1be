"""Why candidates were retrieved, in sentences built from the log: no model is involved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rag_rec.retrieve.fuse import FusedRetriever
from rag_rec.retrieve.matrices import row_of
from rag_rec.text import plain_text
from rag_rec.types import Evidence, UserHistory

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
    targets = np.array([index.find(item_id) or 0 for item_id in item_ids], np.int64)
    weights = retriever.history_weights([history])
    strength = np.zeros(len(targets), np.float32)
    link: list[tuple[str, int] | None] = [None] * len(targets)
    place = np.full(index.n_items, -1, np.int64)
    place[targets] = np.arange(len(targets))
    for past, weight in zip(weights.indices.tolist(), weights.data.tolist(), strict=True):
        columns, values = row_of(evidence.stacked, past)
        which, items = np.divmod(columns, index.n_items)
        where = place[items]
        for at in np.flatnonzero(where >= 0):
            value = weight * values[at]
            if value > strength[where[at]]:
                strength[where[at]] = value
                link[where[at]] = (evidence.names[which[at]], past)

    def unlinked(item_id: str, item_ix: int) -> str:
        if item_id in near_profile:
            return "Close to what was asked for."
        taken = retriever.popularity[item_ix] > 0
        return "Popular with other users." if taken else "Nobody has taken it yet."

    return {
        item_id: Evidence(
            item_id=item_id,
            kind="history",
            text=_sentence(retriever, found) if found else unlinked(item_id, item_ix),
            similarity=float(value),
        )
        for item_id, item_ix, found, value in zip(
            item_ids, targets.tolist(), link, strength, strict=True
        )
    }


def _sentence(retriever: FusedRetriever, link: tuple[str, int]) -> str:
    name, past = link
    item = retriever.index.item(past)
    return _SENTENCES[name].format(plain_text(item.title) or item.item_id)
