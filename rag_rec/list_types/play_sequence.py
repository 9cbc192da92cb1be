"""Play sequences: items in an order that matters, to read, hear or learn one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rag_rec.core import Candidate, Model, RecommendationList, UserHistory
from rag_rec.grounding import Entry, Grounds
from rag_rec.list_types.base import (
    Composed,
    ListContext,
    ListTask,
    marked,
    relaxed_until_full,
)
from rag_rec.list_types.local_search import construct
from rag_rec.list_types.objective import Pool

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
    """Mean relevance plus affinity of each item to those before it.

    Args:
        pool: The candidates.
        steps: Affinity of the row's item to the column's after it, ``float [n, n]``.
        start: Affinity of the history to each item after it, ``float [n]``.
        durations: Duration of items, by id.
        max_duration: Longest total duration.
    """

    ordered = True

    def __init__(
        self,
        pool: Pool,
        steps: NDArray[np.float32],
        start: NDArray[np.float32],
        *,
        durations: Mapping[str, float] | None = None,
        max_duration: float | None = None,
    ) -> None:
        self.pool = pool
        self.n = len(pool.items)
        self._steps, self._start = steps, start
        self._durations = [(durations or {}).get(item.item_id) for item in pool.items]
        self._max_duration = max_duration

    def value(self, chosen: Sequence[int]) -> float:
        """Return mean relevance plus mean step; a step over others counts by its distance."""
        if not chosen:
            return 0.0
        at = np.array(chosen)
        relevance = float(self.pool.relevance[at].mean())
        return relevance + _STEP * (self.order(chosen) + float(self._start[at[0]]) / len(chosen))

    def order(self, chosen: Sequence[int]) -> float:
        """Return the mean affinity of steps, each pair weighted by 1 / distance."""
        at = np.array(chosen)
        distance = np.arange(len(at))[None, :] - np.arange(len(at))[:, None]
        weight = np.where(distance > 0, 1 / np.maximum(distance, 1), 0)
        return float((self._steps[np.ix_(at, at)] * weight).sum() / len(at))

    def duration(self, chosen: Sequence[int]) -> float | None:
        """Return the total duration; None if one is unknown."""
        known = [self._durations[position] for position in chosen]
        return None if any(d is None for d in known) else sum(d or 0.0 for d in known)

    def admits(self, chosen: Sequence[int]) -> bool:
        """Return whether duration and constraints allow the items together."""
        if self._max_duration is not None:
            taken = self.duration(chosen)
            if taken is None or taken > self._max_duration + 1e-9:
                return False
        return self.pool.holds(chosen)

    def left_over(self, chosen: Sequence[int]) -> float:
        """Return the part of the duration that is left."""
        if self._max_duration is None:
            return 0.0
        return self._max_duration - (self.duration(chosen) or 0.0)


class PlaySequenceType:
    """See `ListType`."""

    name = "sequence"
    kind = PlaySequence
    document = SequenceList
    prompt = "lists/sequence"
    entry_tokens = 32

    def of_size(self, k: int | None) -> PlaySequence:
        """Return the kind with ``k`` items."""
        return PlaySequence() if k is None else PlaySequence(length=k)

    def candidates(
        self, context: ListContext, asked: Sequence[tuple[PlaySequence, UserHistory]], n_shown: int
    ) -> list[list[Candidate]]:
        """Return the retriever's candidates."""
        del n_shown
        return [context.pool(history, kind.length) for kind, history in asked]

    def task(
        self,
        context: ListContext,
        kind: PlaySequence,
        history: UserHistory,
        candidates: Sequence[Candidate],
    ) -> ListTask:
        """Return the length in words."""
        del context, history, candidates
        return ListTask(
            f"a sequence of {kind.length} items, each a good next step after the one before"
        )

    def compose(
        self,
        context: ListContext,
        kind: PlaySequence,
        task: ListTask,
        grounds: Grounds,
        entries: Sequence[Entry],
    ) -> Composed:
        """Return the model's choices in its order, and the rest inserted by search."""
        del task
        items = context.items(grounds.candidates)
        rows = context.rows([item.item_id for item in items])
        last = context.rows(grounds.history.item_ids[-1:])
        steps = context.steps.block(rows, rows)
        start = context.steps.block(last, rows).sum(axis=0)
        if len(last):
            start = np.where(rows == last[0], -10, start)  # an item is not its own next step

        def compose(pool: Pool) -> Composed:
            objective = SequenceObjective(
                pool, steps, start, durations=kind.durations, max_duration=kind.max_duration
            )
            fixed = [entry.label - 1 for entry in entries]
            chosen = construct(objective, kind.length, fixed=fixed)
            extras = {
                "order_score": objective.order(chosen) if chosen else 0.0,
                "total_duration": objective.duration(chosen) if kind.durations else None,
            }
            return Composed(marked(pool, chosen), extras)

        return relaxed_until_full(kind, items, grounds, compose)
