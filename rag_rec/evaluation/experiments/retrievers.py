"""Other ways to propose candidates, in the place of the fused retriever."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from rag_rec.core import Candidate, UserHistory
from rag_rec.retrieval import FusedRetriever

Propose = Callable[[Sequence[UserHistory], int], list[list[Candidate]]]

Ranking = Callable[[Sequence[UserHistory], int], list[list[str]]]
"""From histories to item ids, best first."""


class SwappedRetriever(FusedRetriever):
    """A fused retriever whose candidates come from elsewhere; reasons still come from its log.

    Args:
        fused: The retriever of the index.
        propose: Makes the candidates.
    """

    def __init__(self, fused: FusedRetriever, propose: Propose) -> None:
        self.__dict__.update(fused.__dict__)
        self._propose = propose
        self._kept: dict[str | None, list[Candidate]] = {}

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        found = self._propose(histories, k)
        keys = (history.user_id for history in histories)
        self._kept.update(zip(keys, found, strict=True))
        return found

    def take(self) -> dict[str | None, list[Candidate]]:
        """Candidates by user since the last call."""
        kept, self._kept = self._kept, {}
        return kept


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
