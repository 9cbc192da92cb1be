"""Review sentences as evidence: what reviewers say of a candidate that this user may care about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.index import ItemIndex, Vectors

_RECENT = 10


def review_quotes(
    index: ItemIndex,
    histories: Sequence[UserHistory],
    candidates: Sequence[Sequence[Candidate]],
    n: int,
) -> list[dict[str, list[Evidence]]]:
    """For each user, up to ``n`` reviews of each candidate, nearest to the user's taste first.

    The taste is the mean vector of the last items of the history, of the profile if there is no
    history, else of the candidates themselves.
    """
    if n == 0 or index.manifest.n_reviews == 0:
        return [{} for _ in histories]
    picked = [
        _nearest(index, _taste(index, history, wanted), wanted, n)
        for history, wanted in zip(histories, candidates, strict=True)
    ]
    rows = sorted({row for user in picked for found in user.values() for row, _ in found})
    texts = dict(zip(rows, index.review_texts(rows), strict=True))
    return [
        {
            item_id: [
                Evidence(item_id=item_id, kind="review", text=texts[row], similarity=cosine)
                for row, cosine in found
            ]
            for item_id, found in user.items()
        }
        for user in picked
    ]


def _taste(index: ItemIndex, history: UserHistory, candidates: Sequence[Candidate]) -> Vectors:
    ids = history.item_ids[-_RECENT:]
    rows = [row for item_id in ids if (row := index.find(item_id)) is not None]
    if not rows and history.profile:
        return index.embedder.embed([history.profile])[0]
    rows = rows or [row for c in candidates if (row := index.find(c.item_id)) is not None]
    return index.item_vectors[rows].mean(axis=0)


def _nearest(
    index: ItemIndex, taste: Vectors, candidates: Sequence[Candidate], n: int
) -> dict[str, list[tuple[int, float]]]:
    """Review rows and cosines of each candidate that has reviews, nearest first."""
    groups = [
        index.reviews_of(item_ix)
        for candidate in candidates
        if (item_ix := index.find(candidate.item_id)) is not None
    ]
    rows = np.concatenate([np.empty(0, np.int64), *groups])
    if not len(rows):
        return {}
    cosines = index.review_vectors[rows] @ taste
    owners = index.review_items[rows]
    order = np.lexsort((rows, -cosines, owners))
    rows, cosines, owners = rows[order], cosines[order], owners[order]
    place = np.arange(len(rows)) - np.searchsorted(owners, owners)
    kept = place < n
    found: dict[str, list[tuple[int, float]]] = {}
    for owner, row, cosine in zip(
        owners[kept].tolist(), rows[kept].tolist(), cosines[kept].tolist(), strict=True
    ):
        found.setdefault(index.item_ids[owner], []).append((row, cosine))
    return found
