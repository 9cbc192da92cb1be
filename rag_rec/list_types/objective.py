"""The pool a list is chosen from, and the rules that hold for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.constraints import ItemRules, Tally, failed, without
from rag_rec.core import Constraints, Item


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates of one list.

    Attributes:
        items: The candidates, best first.
        relevance: From 1 for the best to 0, ``float [n]``.
        asked: The list's constraints.
        rules: The same with as many given up as now.
    """

    items: Sequence[Item]
    relevance: NDArray[np.float64]
    asked: Constraints
    rules: Constraints

    @classmethod
    def of(cls, items: Sequence[Item], asked: Constraints, n_given_up: int) -> Pool:
        """Return a pool with the first constraints of ``asked.relax`` given up."""
        relevance = 1 - np.arange(len(items)) / max(len(items), 1)
        broken = np.array([len(failed(item, asked)) for item in items])
        # items that qualify come before those that do not, however relevant these are
        rules = without(asked, asked.relax[:n_given_up])
        return cls(items, relevance - 10 * broken, asked, rules)

    def holds(self, chosen: Sequence[int]) -> bool:
        """Return whether a list obeys the constraints, item by item and as a whole."""
        of_items = ItemRules(self.rules)
        if any(of_items.failed(self.items[position]) for position in chosen):
            return False
        return Tally(self.rules, (self.items[position] for position in chosen)).holds
