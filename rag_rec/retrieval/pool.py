"""Candidates that can fill a list under counts and relaxation: retrieval, widened as needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag_rec.constraints import choose, limits_lists, n_new_items, without
from rag_rec.core import Candidate, UserHistory
from rag_rec.index import ItemIndex
from rag_rec.retrieval.base import Retriever

_WIDER = 8


def pools(
    retriever: Retriever, index: ItemIndex, histories: Sequence[UserHistory], n: int, k: int
) -> list[list[Candidate]]:
    """Return candidates of each user, at least ``min(n, eligible items)``, that can fill a list.

    Any retriever will do: unknown, ineligible and repeated items are dropped, and what is missing
    is filled up with the most popular eligible items.

    For users who want new items the pool holds as large a share of them as their list, as far as
    there are that many. Those that are missing are what the retriever proposes when asked for new
    items alone; ``sources`` then has their rank among these.

    Users whose constraints count brands or categories get as many candidates as it takes, those
    that fill the list first. Where fewer than ``k`` qualify and constraints may be relaxed, those
    that qualify are followed by those that do with the first of them given up, and so on. Where
    no list at all can obey the constraints there are no candidates, and no model need be asked.

    Args:
        retriever: Proposes the candidates.
        index: The index of the items.
        histories: The users.
        n: Candidates wanted a user.
        k: Length of the list.
    """
    found = _retrieved(retriever, index, histories, n)
    for at, history in enumerate(histories):
        asked = history.constraints
        if limits_lists(asked) or asked.relax or asked.new_items:
            found[at] = _filling(retriever, index, history, found[at], n, k)
    return found


def _retrieved(
    retriever: Retriever, index: ItemIndex, histories: Sequence[UserHistory], n: int
) -> list[list[Candidate]]:
    """Retrieve ``min(n, eligible items)`` distinct eligible candidates of each user."""
    lists = retriever.retrieve(histories, n)
    return [
        _completed(index, history, candidates, n)
        for history, candidates in zip(histories, lists, strict=True)
    ]


def _completed(
    index: ItemIndex, history: UserHistory, candidates: list[Candidate], n: int
) -> list[Candidate]:
    free = index.eligibility.mask(history)
    kept: list[Candidate] = []
    for candidate in candidates[:n]:
        row = index.find(candidate.item_id)
        if row is not None and free[row]:
            free[row] = False
            kept.append(candidate)
    if len(kept) == n or not free.any():
        return kept
    order = np.argsort(-index.popularity, kind="stable")
    missing = np.flatnonzero(free[order])[: n - len(kept)]
    score = min([0.0, *(candidate.score for candidate in kept[-1:])])
    return kept + [
        Candidate(index.item_ids[order[at]], score, {"popularity": at + 1})
        for at in missing.tolist()
    ]


def _filling(
    retriever: Retriever,
    index: ItemIndex,
    history: UserHistory,
    candidates: list[Candidate],
    n_wanted: int,
    k: int,
) -> list[Candidate]:
    new = _missing_new(retriever, index, history, candidates, max(n_wanted, k))
    pool = {candidate.item_id: candidate for candidate in (*candidates, *new)}
    chosen: list[str] = []
    for n_given_up in range(len(history.constraints.relax) + 1):
        given_up = history.constraints.relax[:n_given_up]
        weaker = without(history.constraints, given_up)
        asked = history.model_copy(update={"constraints": weaker})
        n = max(len(candidates), k)
        exhausted = n_given_up == 0 and len(candidates) < n_wanted
        while len(chosen := _chosen(index, history, pool, k, n_given_up)) < k and not exhausted:
            more = _retrieved(retriever, index, [asked], n)[0]
            pool |= {c.item_id: c for c in more if c.item_id not in pool}
            exhausted, n = len(more) < n, n * _WIDER
        if len(chosen) == k:
            break
    if not chosen:
        return []
    first = dict.fromkeys((*chosen, *pool))
    return [pool[item_id] for item_id in first]


def _missing_new(
    retriever: Retriever,
    index: ItemIndex,
    history: UserHistory,
    candidates: Sequence[Candidate],
    n: int,
) -> list[Candidate]:
    """Return the best new items that ``n`` candidates lack to hold the share that is wanted."""
    listed = {candidate.item_id for candidate in candidates}
    n_found = sum(index.item_by_id(item_id).is_new for item_id in listed)
    n_missing = n_new_items(history.constraints, n) - n_found
    if n_missing <= 0:
        return []
    known = [index.item_ids[row] for row in np.flatnonzero(index.popularity).tolist()]
    barred = history.constraints.exclude.union(known, listed)
    asked = history.constraints.model_copy(update={"exclude": barred, "new_items": 0})
    only_new = history.model_copy(update={"constraints": asked})
    return _retrieved(retriever, index, [only_new], n_missing)[0]


def _chosen(
    index: ItemIndex, history: UserHistory, pool: dict[str, Candidate], k: int, n_given_up: int
) -> list[str]:
    seen = () if history.constraints.allow_seen else history.item_ids
    given_up = history.constraints.relax[:n_given_up]
    asked = history.constraints.model_copy(update={"relax": given_up})
    found = choose((), list(pool), k, item_of=index.item_by_id, constraints=asked, blocked=seen)
    return [choice.item_id for choice in found]
