"""Candidates that can fill a list under counts and relaxation: retrieval, widened as needed."""

from __future__ import annotations

from collections.abc import Sequence

from rag_rec.constraints import choose, limits_lists, without
from rag_rec.core import Candidate, UserHistory
from rag_rec.index import ItemIndex
from rag_rec.retrieval.base import Retriever

_WIDER = 8


def pools(
    retriever: Retriever, index: ItemIndex, histories: Sequence[UserHistory], n: int, k: int
) -> list[list[Candidate]]:
    """For each user, ``n`` candidates or more, so that the list of ``k`` is as long as can be.

    Users whose constraints count brands or categories get as many candidates as it takes, those
    that fill the list first. Where fewer than ``k`` qualify and constraints may be relaxed, those
    that qualify are followed by those that do with the first of them given up, and so on. Where
    no list at all can obey the constraints there are no candidates, and no model need be asked.
    """
    found = retriever.retrieve(histories, n)
    for at, history in enumerate(histories):
        if limits_lists(history.constraints) or history.constraints.relax:
            found[at] = _filling(retriever, index, history, found[at], k)
    return found


def _filling(
    retriever: Retriever,
    index: ItemIndex,
    history: UserHistory,
    candidates: list[Candidate],
    k: int,
) -> list[Candidate]:
    pool = {candidate.item_id: candidate for candidate in candidates}
    chosen: list[str] = []
    for n_given_up in range(len(history.constraints.relax) + 1):
        given_up = history.constraints.relax[:n_given_up]
        weaker = without(history.constraints, given_up)
        asked = history.model_copy(update={"constraints": weaker})
        n = max(len(candidates), k)
        exhausted = n_given_up == 0 and len(candidates) < n
        while len(chosen := _chosen(index, history, pool, k, n_given_up)) < k and not exhausted:
            more = retriever.retrieve([asked], n)[0]
            pool |= {c.item_id: c for c in more if c.item_id not in pool}
            exhausted, n = len(more) < n, n * _WIDER
        if len(chosen) == k:
            break
    if not chosen:
        return []
    first = dict.fromkeys((*chosen, *pool))
    return [pool[item_id] for item_id in first]


def _chosen(
    index: ItemIndex, history: UserHistory, pool: dict[str, Candidate], k: int, n_given_up: int
) -> list[str]:
    seen = () if history.constraints.allow_seen else history.item_ids
    given_up = history.constraints.relax[:n_given_up]
    asked = history.constraints.model_copy(update={"relax": given_up})
    found = choose((), list(pool), k, item_of=index.item_by_id, constraints=asked, blocked=seen)
    return [choice.item_id for choice in found]
