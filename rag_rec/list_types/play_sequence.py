"""Play sequences: items in an order that matters, to read, hear or learn one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from rag_rec.core import Candidate, Model, RecommendationList, UserHistory
from rag_rec.grounding import Entry, Grounds
from rag_rec.list_types.base import (
    Composed,
    ListContext,
    ListTask,
    ListType,
    composed_from_pool,
)
from rag_rec.list_types.local_search import construct
from rag_rec.list_types.objective import Limit, Pool

_STEP = 2.0


class PlaySequence(Model):
    """Items in an order that matters.

    Attributes:
        length: Number of items.
        durations: Duration of each item, in a unit of the caller's.
        max_duration: Longest total duration; items without a duration then have no place.
    """

    length: int = Field(default=5, ge=1)
    durations: Mapping[str, float] = {}
    max_duration: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class SequenceList(RecommendationList):
    """Items in an order that matters, first to last.

    Attributes:
        order_score: Mean affinity of each item to those before it.
        total_duration: Sum of the durations; None if one is unknown.
    """

    order_score: float
    total_duration: float | None


class SequenceObjective:
    """Mean relevance plus affinity of each item to those before it, within a total duration.

    Args:
        pool: The candidates.
        steps: Affinity of the row's item to the column's after it, ``float [n, n]``.
        start: Affinity of the history to each item after it, ``float [n]``.
        durations: Durations of the items, and the longest sum; no limit if None.
    """

    ordered = True

    def __init__(
        self,
        pool: Pool,
        steps: NDArray[np.float32],
        start: NDArray[np.float32],
        durations: Limit | None = None,
    ) -> None:
        self.pool = pool
        self.n = len(pool.items)
        self.durations = durations or Limit([None] * self.n)
        self.left_over = self.durations.left_over
        self._steps, self._start = steps, start

    def value(self, chosen: Sequence[int]) -> float:
        """Return mean relevance plus mean step; a step over others counts by its distance."""
        if not chosen:
            return 0.0
        start = float(self._start[chosen[0]]) / len(chosen)
        return self.pool.mean_relevance(chosen) + _STEP * (self.order(chosen) + start)

    def order(self, chosen: Sequence[int]) -> float:
        """Return the mean affinity of steps, each pair weighted by 1 / distance; 0 if empty."""
        if not chosen:
            return 0.0
        at = np.array(chosen)
        distance = np.arange(len(at))[None, :] - np.arange(len(at))[:, None]
        weight = np.where(distance > 0, 1 / np.maximum(distance, 1), 0)
        return float((self._steps[np.ix_(at, at)] * weight).sum() / len(at))

    def admits(self, chosen: Sequence[int]) -> bool:
        """Return whether duration and constraints allow the items together."""
        return self.durations.holds(chosen) and self.pool.holds(chosen)


class PlaySequenceType(ListType[PlaySequence]):
    """The model's choices in its order, and the rest inserted by search."""

    name = "sequence"
    kind = PlaySequence
    document = SequenceList
    prompt = "lists/sequence"

    @override
    def task(
        self,
        context: ListContext,
        kind: PlaySequence,
        history: UserHistory,
        candidates: Sequence[Candidate],
    ) -> ListTask:
        return ListTask(
            f"a sequence of {kind.length} items, each a good next step after the one before"
        )

    @override
    def compose(
        self,
        context: ListContext,
        kind: PlaySequence,
        task: ListTask,
        grounds: Grounds,
        entries: Sequence[Entry],
    ) -> Composed:
        items = context.items(grounds.candidates)
        rows = context.rows([item.item_id for item in items])
        last = context.rows(grounds.history.item_ids[-1:])
        steps = context.steps.block(rows, rows)
        start = context.steps.block(last, rows).sum(axis=0)
        if len(last):
            start = np.where(rows == last[0], -10, start)  # an item is not its own next step
        durations = Limit([kind.durations.get(i.item_id) for i in items], kind.max_duration)

        def search(pool: Pool) -> tuple[list[int], dict[str, Any]]:
            objective = SequenceObjective(pool, steps, start, durations)
            chosen = construct(objective, kind.length, fixed=[e.label - 1 for e in entries])
            return chosen, {
                "order_score": objective.order(chosen),
                "total_duration": durations.total(chosen) if kind.durations else None,
            }

        return composed_from_pool(kind, items, grounds, search)
