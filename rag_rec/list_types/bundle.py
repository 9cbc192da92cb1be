"""Bundles: items that go together, within a budget, one for each slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import override

from rag_rec.constraints import ItemRules, describe, failed
from rag_rec.core import (
    Candidate,
    ConfigError,
    Constraints,
    ItemId,
    Model,
    RecommendationList,
    UserHistory,
)
from rag_rec.grounding import Entry, Grounds
from rag_rec.list_types.base import (
    Composed,
    ListContext,
    ListTask,
    ListType,
    composed_from_pool,
)
from rag_rec.list_types.local_search import construct
from rag_rec.list_types.objective import Limit, Pool, mean_of_pairs

_PER_SLOT = 15
_COMPANIONS = 20
_AFFINITY = 2.0


class Bundle(Model):
    """Items that go together.

    Attributes:
        size: Number of items; that of ``slots`` where there are any.
        budget: Highest total price; items without a price then have no place.
        slots: One item for each of these, such as ``where("category=Teapots")``.
        anchors: Items that must be among them.
    """

    size: int = Field(default=3, ge=1)
    budget: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    slots: tuple[Constraints, ...] = ()
    anchors: tuple[ItemId, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.anchors)) < len(self.anchors):
            raise ValueError("an anchor is named twice")
        if len(self.anchors) > self.length:
            raise ValueError(f"{len(self.anchors)} anchors do not fit {self.length} places")
        return self

    @property
    def length(self) -> int:
        """Number of items."""
        return len(self.slots) or self.size


class BundleList(RecommendationList):
    """Items that go together.

    Attributes:
        total_price: Sum of the prices; None if one is unknown.
        compatibility: Mean affinity of the pairs.
        slots: Rules of the slot that each item fills; empty without slots.
    """

    total_price: float | None
    compatibility: float
    slots: tuple[str, ...] = ()


class BundleObjective:
    """Mean relevance plus affinity of the items; within the budget, one item a slot.

    Args:
        pool: The candidates.
        together: Affinity of each pair, ``float [n, n]``.
        budget: Highest total price.
        slots: Rules of each place.
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
        self.n = len(pool.items)
        self.prices = Limit([item.price for item in pool.items], budget)
        self.left_over = self.prices.left_over
        self._together = together
        # affinities are small numbers of no fixed scale: the strongest of the pool counts as 1
        off_diagonal = together - np.diag(np.diag(together))
        self._scale = _AFFINITY / max(float(off_diagonal.max(initial=0.0)), 1e-9)
        rules = [ItemRules(slot.model_copy(update={"allow_out_of_stock": True})) for slot in slots]
        self._fits = [[not rule.failed(item) for rule in rules] for item in pool.items]
        self._n_slots = len(rules)

    def value(self, chosen: Sequence[int]) -> float:
        """Return mean relevance plus mean affinity of pairs."""
        if not chosen:
            return 0.0
        return self.pool.mean_relevance(chosen) + self._scale * self.compatibility(chosen)

    def compatibility(self, chosen: Sequence[int]) -> float:
        """Return the mean affinity of the pairs; 0 for fewer than two items."""
        return mean_of_pairs(self._together, chosen) or 0.0

    def admits(self, chosen: Sequence[int]) -> bool:
        """Return whether budget, slots and constraints allow the items together."""
        if not self.prices.holds(chosen):
            return False
        if self._n_slots and self.places(chosen) is None:
            return False
        return self.pool.holds(chosen)

    def places(self, chosen: Sequence[int]) -> list[int] | None:
        """Return a slot for each item, no slot twice; None if there is none (Kuhn's matching)."""
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


class BundleType(ListType[Bundle]):
    """Anchors, the model's choices that fit, and the rest by search."""

    name = "bundle"
    kind = Bundle
    document = BundleList
    prompt = "lists/bundle"
    sized_by = "size"

    @override
    def candidates(
        self, context: ListContext, asked: Sequence[tuple[Bundle, UserHistory]], n_shown: int
    ) -> list[list[Candidate]]:
        return [_candidates(context, kind, history) for kind, history in asked]

    @override
    def task(
        self,
        context: ListContext,
        kind: Bundle,
        history: UserHistory,
        candidates: Sequence[Candidate],
    ) -> ListTask:
        parts = [f"a bundle of {kind.length} items that go together"]
        if kind.budget is not None:
            parts.append(f"costing at most {kind.budget:g} in all")
        if kind.slots:
            parts.append("one for each of: " + "; ".join(map(describe, kind.slots)))
        if kind.anchors:
            parts.append(f"with {', '.join(f'item {n + 1}' for n in range(len(kind.anchors)))}")
        return ListTask(", ".join(parts))

    @override
    def compose(
        self,
        context: ListContext,
        kind: Bundle,
        task: ListTask,
        grounds: Grounds,
        entries: Sequence[Entry],
    ) -> Composed:
        items = context.items(grounds.candidates)
        rows = context.rows([item.item_id for item in items])
        together = context.affinity.block(rows, rows)

        def search(pool: Pool) -> tuple[list[int], dict[str, Any]]:
            objective = BundleObjective(pool, together, budget=kind.budget, slots=kind.slots)
            return _searched(objective, kind, entries)

        composed = composed_from_pool(kind, items, grounds, search)
        if kind.anchors and not composed.choices:
            raise ConfigError("the anchors alone break the budget, the slots or a constraint")
        return composed


def _candidates(context: ListContext, kind: Bundle, history: UserHistory) -> list[Candidate]:
    anchors = [_anchor(context, item_id, history.constraints) for item_id in kind.anchors]
    lists: list[list[Candidate]] = [anchors]
    for slot in kind.slots:
        # the slot's own wishes where it has some; the list's rules are held by the composer
        both = history.constraints.model_copy(update=slot.model_dump(exclude_defaults=True))
        asked = history.model_copy(update={"constraints": both})
        lists.append(context.candidates(asked, _PER_SLOT, 1))
    if not kind.slots:
        lists += [context.pool(history, kind.length), _companions(context, kind, history)]
    found: dict[str, Candidate] = {}
    for candidate in (candidate for one in lists for candidate in one):
        found.setdefault(candidate.item_id, candidate)
    return list(found.values())


def _anchor(context: ListContext, item_id: str, constraints: Constraints) -> Candidate:
    item = context.index.item_by_id(item_id)
    broken = failed(item, constraints)
    if item_id in constraints.exclude:
        raise ConfigError(f"anchor '{item_id}' is among the excluded items")
    if set(broken) - set(constraints.relax):
        raise ConfigError(f"anchor '{item_id}' breaks a constraint: {', '.join(broken)}")
    return Candidate(item_id, 1.0, {"anchor": 1})


def _companions(context: ListContext, kind: Bundle, history: UserHistory) -> list[Candidate]:
    """Return the items with most affinity to the anchors, among those that may be listed."""
    if not kind.anchors:
        return []
    at = context.rows(kind.anchors)
    free = context.index.eligibility.mask(history)
    free[at] = False
    rows = np.flatnonzero(free)
    together = context.affinity.block(at, rows).sum(axis=0)
    best = rows[np.argsort(-together, kind="stable")[:_COMPANIONS]]
    ids = [context.index.item_ids[row] for row in best]
    return [Candidate(item_id, 0.0, {"affinity": n}) for n, item_id in enumerate(ids, 1)]


def _searched(
    objective: BundleObjective, kind: Bundle, entries: Sequence[Entry]
) -> tuple[list[int], dict[str, Any]]:
    at = {item.item_id: position for position, item in enumerate(objective.pool.items)}
    anchors = [at[item_id] for item_id in kind.anchors]
    if not objective.admits(anchors):
        return [], {}
    fixed = anchors + [entry.label - 1 for entry in entries]
    chosen = construct(objective, kind.length, fixed=fixed)
    places = (objective.places(chosen) or []) if kind.slots else []
    if places:
        chosen = [position for _, position in sorted(zip(places, chosen, strict=True))]
    total = objective.prices.total(chosen)
    return chosen, {
        "total_price": None if total is None else round(total, 2),
        "compatibility": objective.compatibility(chosen),
        "slots": tuple(describe(kind.slots[place]) for place in sorted(places)),
    }
