"""Plain lists: the best ``k`` items, best first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pydantic import Field
from typing_extensions import override

from rag_rec.core import MAX_K, Candidate, Model, UserHistory
from rag_rec.grounding import Entry, Grounds
from rag_rec.list_types.base import Composed, ListContext, ListTask, ListType
from rag_rec.retrieval import pools


class TopK(Model):
    """The best ``k`` items, best first."""

    k: int = Field(default=10, ge=1, le=MAX_K)

    @property
    def length(self) -> int:
        """Number of items."""
        return self.k


class TopKType(ListType[TopK]):
    """The model's choices in its order, then the retriever's; the prompt asks for the best."""

    name = "topk"
    kind = TopK
    entry_tokens = 24
    sized_by = "k"

    @override
    def candidates(
        self, context: ListContext, asked: Sequence[tuple[TopK, UserHistory]], n_shown: int
    ) -> list[list[Candidate]]:
        found: list[list[Candidate]] = []
        # one call for users with lists of one length
        for k, group in groupby(asked, lambda pair: pair[0].k):
            histories = [history for _, history in group]
            found += pools(context.retriever, context.index, histories, max(k, n_shown), k)
        return found

    @override
    def compose(
        self,
        context: ListContext,
        kind: TopK,
        task: ListTask,
        grounds: Grounds,
        entries: Sequence[Entry],
    ) -> Composed:
        preferred = [grounds.candidates[entry.label - 1].item_id for entry in entries]
        return Composed(tuple(grounds.choose(preferred, kind.k)))
