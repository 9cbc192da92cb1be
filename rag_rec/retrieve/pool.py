"""Candidates that can fill a list under counts and relaxation: retrieval, widened as needed."""

from __future__ import annotations

from collections.abc import Sequence

from rag_rec.constraints import choose, limits_lists, without
from rag_rec.index import ItemIndex
from rag_rec.retrieve.base import Retriever
from rag_rec.types import Candidate, UserHistory

_WIDER = 8


def pools(
    retriever: Retriever, index: ItemIndex, histories: Sequence[UserHistory], n: int, k: int
) -> list[list[Candidate]]:
    """For each user, ``n`` candidates or more, so that the list of ``k`` is as long as can be.

    Users whose constraints count brands or categories get as many candidates as it takes. Where
    fewer than ``k`` qualify and constraints may be relaxed, those that qualify are followed by
    those that do with the first of them given up, and so on.
    """
    found = retriever.retrieve(histories, n)
    for at, history in enumerate(histories):
        if limits_lists(history.constraints):
            found[at] = _widened(retriever, index, history, found[at], k)
        for n_given_up in range(1, len(history.constraints.relax) + 1):
            if len(_chosen(index, history, found[at], k, n_given_up - 1)) >= k:
                break
            weaker = without(history.constraints, history.constraints.relax[:n_given_up])
            asked = history.model_copy(update={"constraints": weaker})
            more = retriever.retrieve([asked], n + len(found[at]))[0]
            if limits_lists(weaker):
                more = _widened(retriever, index, asked, more, k)
            known = {candidate.item_id for candidate in found[at]}
            found[at] += [candidate for candidate in more if candidate.item_id not in known]
    return found


def _widened(
    retriever: Retriever,
    index: ItemIndex,
    history: UserHistory,
    candidates: list[Candidate],
    k: int,
) -> list[Candidate]:
    """More candidates until the list can be filled or there are no more."""
    n = max(len(candidates), k)
    while len(chosen := _chosen(index, history, candidates, k)) < k and len(candidates) >= n:
        n *= _WIDER
        candidates = retriever.retrieve([history], n)[0]
    first = set(chosen)
    return [
        *(candidate for candidate in candidates if candidate.item_id in first),
        *(candidate for candidate in candidates if candidate.item_id not in first),
    ]


def _chosen(
    index: ItemIndex,
    history: UserHistory,
    candidates: Sequence[Candidate],
    k: int,
    n_given_up: int = 0,
) -> list[str]:
    ids = [candidate.item_id for candidate in candidates]
    given_up = history.constraints.relax[:n_given_up]
    strict = history.constraints.model_copy(update={"relax": given_up})
    return [c.item_id for c in choose((), ids, k, item_of=index.item_by_id, constraints=strict)]
