"""Other ways to propose candidates, in the place of the fused retriever."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.retrieval import Retriever

Propose = Callable[[Sequence[UserHistory], int], list[list[Candidate]]]

Ranking = Callable[[Sequence[UserHistory], int], list[list[str]]]
"""From histories to item ids, best first."""


class ProposedBy:
    """A retriever whose candidates come from a function, explained by another retriever.

    Args:
        propose: Makes the candidates.
        explainer: Explains them from its log.
    """

    def __init__(self, propose: Propose, explainer: Retriever) -> None:
        self._propose, self._explainer = propose, explainer

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        return self._propose(histories, k)

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """See `Retriever.explain`."""
        return self._explainer.explain(history, item_ids)


def proposing(name: str, ranking: Ranking) -> Propose:
    """Candidates from a plain ranking."""

    def propose(histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        return [
            [Candidate(item_id, 1 / rank, {name: rank}) for rank, item_id in enumerate(items, 1)]
            for items in ranking(histories, k)
        ]

    return propose


def shuffled(propose: Propose, seed: int) -> Propose:
    """The same candidates in random order, the same one for a user every time."""

    def mixed(histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        found = propose(histories, k)
        for history, candidates in zip(histories, found, strict=True):
            random.Random(f"{seed} {history.user_id}").shuffle(candidates)  # noqa: S311
        return found

    return mixed
