"""Plain lists: the best ``k`` items, best first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pydantic import Field

from rag_rec.core import Candidate, Model, RecommendationList, UserHistory
from rag_rec.grounding import Entry, Grounds
from rag_rec.list_types.base import Composed, ListContext, ListTask
from rag_rec.retrieval import pools


class TopK(Model):
    """The best ``k`` items, best first."""

    k: int = Field(default=10, ge=1)

    @property
    def length(self) -> int:
        """Number of items."""
        return self.k


class TopKType:
    """See `ListType`."""

    name = "topk"
    kind = TopK
    document = RecommendationList
    prompt = None
    entry_tokens = 24

    def of_size(self, k: int | None) -> TopK:
        """Return the kind with ``k`` items."""
        return TopK() if k is None else TopK(k=k)

    def candidates(
        self, context: ListContext, asked: Sequence[tuple[TopK, UserHistory]], n_shown: int
    ) -> list[list[Candidate]]:
        """Return the retriever's candidates, one call for users with lists of one length."""
        found: list[list[Candidate]] = []
        for k, group in groupby(asked, lambda pair: pair[0].k):
            histories = [history for _, history in group]
            found += pools(context.retriever, context.index, histories, max(k, n_shown), k)
        return found

    def task(
        self,
        context: ListContext,
        kind: TopK,
        history: UserHistory,
        candidates: Sequence[Candidate],
    ) -> ListTask:
        """Return an empty task: the prompt variant itself asks for the best."""
        del context, kind, history, candidates
        return ListTask()

    def compose(
        self,
        context: ListContext,
        kind: TopK,
        task: ListTask,
        grounds: Grounds,
        entries: Sequence[Entry],
    ) -> Composed:
        """Return the model's choices in its order, then the retriever's."""
        del context, task
        preferred = [grounds.candidates[entry.label - 1].item_id for entry in entries]
        return Composed(tuple(grounds.choose(preferred, kind.k)))
