"""What bundles and sequences are built for, and what they must obey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.constraints import ItemRules, Tally, failed, without
from rag_rec.core import Constraints, Item

_TOGETHER = 2.0
_STEP = 2.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates of one list.

    Attributes:
        items: The candidates, best first.
        relevance: From 1 for the best to 0, ``float [n]``.
        rules: What the list must obey, as relaxed as it is now.
    """

    items: Sequence[Item]
    relevance: NDArray[np.float64]
    rules: Constraints

    @classmethod
    def of(cls, items: Sequence[Item], asked: Constraints, n_given_up: int) -> Pool:
        """A pool with the first constraints of ``asked.relax`` given up."""
        relevance = 1 - np.arange(len(items)) / max(len(items), 1)
        broken = np.array([len(failed(item, asked)) for item in items])
        # what qualifies comes before what does not, however relevant that is
        return cls(items, relevance - 10 * broken, without(asked, asked.relax[:n_given_up]))

    def holds(self, chosen: Sequence[int]) -> bool:
        """Whether a list obeys the constraints, item by item and as a whole."""
        of_items = ItemRules(self.rules)
        if any(of_items.failed(self.items[position]) for position in chosen):
            return False
        return Tally(self.rules, (self.items[position] for position in chosen)).holds


class BundleObjective:
    """Mean relevance plus how well the items go together; within the budget, one item a slot.

    Args:
        pool: The candidates.
        together: How well each goes with each, ``float [n, n]``.
        budget: What they may cost together.
        slots: What each place asks of its item.
    """

    ordered = False

    def __init__(
        self,
        pool: Pool,
        together: NDArray[np.float32],
        *,
        budget: float | None = None,
        slots: Sequence[Constraints] = (),
    ) -> None:
        self.pool = pool
        self._together = together
        # affinities are small numbers of no fixed scale: the strongest of the pool counts as 1
        off_diagonal = together - np.diag(np.diag(together))
        self._scale = _TOGETHER / max(float(off_diagonal.max(initial=0.0)), 1e-9)
        self._budget = budget
        rules = [ItemRules(slot.model_copy(update={"allow_out_of_stock": True})) for slot in slots]
        self._fits = [[not rule.failed(item) for rule in rules] for item in pool.items]
        self._n_slots = len(rules)

    @property
    def n(self) -> int:
        """Size of the pool."""
        return len(self.pool.items)

    def value(self, chosen: Sequence[int]) -> float:
        """Mean relevance, and mean affinity of pairs."""
        if not chosen:
            return 0.0
        at = np.array(chosen)
        return float(self.pool.relevance[at].mean()) + self._scale * self.compatibility(chosen)

    def compatibility(self, chosen: Sequence[int]) -> float:
        """Mean affinity of the pairs; 0 for fewer than two items."""
        n = len(chosen)
        if n < 2:
            return 0.0
        at = np.array(chosen)
        block = self._together[np.ix_(at, at)]
        return float((block.sum() - block.trace()) / (n * (n - 1)))

    def admits(self, chosen: Sequence[int]) -> bool:
        """Within the budget, every item in a slot of its own, the constraints kept."""
        if self._budget is not None:
            prices = [self.pool.items[position].price for position in chosen]
            if any(price is None for price in prices):
                return False
            if sum(price or 0.0 for price in prices) > self._budget + 1e-9:
                return False
        if self._n_slots and self.places(chosen) is None:
            return False
        return self.pool.holds(chosen)

    def thrift(self, chosen: Sequence[int]) -> float:
        """What is left of the budget."""
        if self._budget is None:
            return 0.0
        return self._budget - sum(self.pool.items[position].price or 0.0 for position in chosen)

    def places(self, chosen: Sequence[int]) -> list[int] | None:
        """A slot for each item, no slot twice; None if there is no such way (Kuhn's matching)."""
        owner: dict[int, int] = {}

        def seat(at: int, tried: set[int]) -> bool:
            for slot in range(self._n_slots):
                if self._fits[chosen[at]][slot] and slot not in tried:
                    tried.add(slot)
                    if slot not in owner or seat(owner[slot], tried):
                        owner[slot] = at
                        return True
            return False

        if not all(seat(at, set()) for at in range(len(chosen))):
            return None
        slot_of = {at: slot for slot, at in owner.items()}
        return [slot_of[at] for at in range(len(chosen))]


class SequenceObjective:
    """Mean relevance plus how well each item comes after those before it.

    Args:
        pool: The candidates.
        steps: How well the column comes after the row, ``float [n, n]``.
        start: How well each comes after the user's history, ``float [n]``.
        durations: How long items take, by id.
        max_duration: What they may take together.
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
        self._steps, self._start = steps, start
        self._durations = [(durations or {}).get(item.item_id) for item in pool.items]
        self._max_duration = max_duration

    @property
    def n(self) -> int:
        """Size of the pool."""
        return len(self.pool.items)

    def value(self, chosen: Sequence[int]) -> float:
        """Mean relevance, and mean step; a step over others counts by its distance."""
        if not chosen:
            return 0.0
        at = np.array(chosen)
        relevance = float(self.pool.relevance[at].mean())
        return relevance + _STEP * (self.order(chosen) + float(self._start[at[0]]) / len(chosen))

    def order(self, chosen: Sequence[int]) -> float:
        """How well the items follow one another, each pair weighted by 1 / distance."""
        at = np.array(chosen)
        distance = np.arange(len(at))[None, :] - np.arange(len(at))[:, None]
        weight = np.where(distance > 0, 1 / np.maximum(distance, 1), 0)
        return float((self._steps[np.ix_(at, at)] * weight).sum() / len(at))

    def step(self, first: int, second: int) -> float:
        """How well one position comes after another."""
        return float(self._steps[first, second])

    def duration(self, chosen: Sequence[int]) -> float | None:
        """What the items take together; None if one does not say."""
        known = [self._durations[position] for position in chosen]
        return None if any(d is None for d in known) else sum(d or 0.0 for d in known)

    def admits(self, chosen: Sequence[int]) -> bool:
        """Within the duration, the constraints kept."""
        if self._max_duration is not None:
            taken = self.duration(chosen)
            if taken is None or taken > self._max_duration + 1e-9:
                return False
        return self.pool.holds(chosen)

    def thrift(self, chosen: Sequence[int]) -> float:
        """What is left of the time."""
        if self._max_duration is None:
            return 0.0
        return self._max_duration - (self.duration(chosen) or 0.0)
