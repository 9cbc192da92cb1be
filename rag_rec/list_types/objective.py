"""The pool a list is chosen from, the rules that hold for it, and parts of objectives."""

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
        most_known: Items of a list at most that are not new; None for no limit.
    """

    items: Sequence[Item]
    relevance: NDArray[np.float64]
    asked: Constraints
    rules: Constraints
    most_known: int | None = None

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        asked: Constraints,
        n_given_up: int,
        *,
        most_known: int | None = None,
    ) -> Pool:
        """Return a pool with the first constraints of ``asked.relax`` given up."""
        relevance = 1 - np.arange(len(items)) / max(len(items), 1)
        broken = np.array([len(failed(item, asked)) for item in items])
        # items that qualify come before those that do not, however relevant these are
        rules = without(asked, asked.relax[:n_given_up])
        return cls(items, relevance - 10 * broken, asked, rules, most_known)

    def holds(self, chosen: Sequence[int]) -> bool:
        """Return whether a list obeys the constraints, item by item and as a whole."""
        if self.most_known is not None and self._n_known(chosen) > self.most_known:
            return False
        of_items = ItemRules(self.rules)
        if any(of_items.failed(self.items[position]) for position in chosen):
            return False
        return Tally(self.rules, (self.items[position] for position in chosen)).holds

    def _n_known(self, chosen: Sequence[int]) -> int:
        return sum(not self.items[position].is_new for position in chosen)

    def mean_relevance(self, chosen: Sequence[int]) -> float:
        """Return the mean relevance of at least one position."""
        return float(self.relevance[np.array(chosen)].mean())


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on a sum over a list: of prices, or of durations.

    Attributes:
        amounts: Amount of each position of the pool; None where it is unknown.
        most: Largest sum; positions of unknown amount then have no place. None for no limit.
    """

    amounts: Sequence[float | None]
    most: float | None = None

    def total(self, chosen: Sequence[int]) -> float | None:
        """Return the sum; None if an amount is unknown."""
        amounts = [self.amounts[position] for position in chosen]
        return None if None in amounts else sum(amount or 0.0 for amount in amounts)

    def holds(self, chosen: Sequence[int]) -> bool:
        """Return whether the sum is known and within the limit, if there is one."""
        if self.most is None:
            return True
        total = self.total(chosen)
        return total is not None and total <= self.most + 1e-9

    def left_over(self, chosen: Sequence[int]) -> float:
        """Return the part of the limit that is left; 0 without a limit."""
        return 0.0 if self.most is None else self.most - (self.total(chosen) or 0.0)


def mean_of_pairs(matrix: NDArray[np.float32], chosen: Sequence[int]) -> float | None:
    """Return the mean entry of a matrix over ordered pairs; None for fewer than two positions."""
    n = len(chosen)
    if n < 2:
        return None
    at = np.array(chosen)
    block = matrix[np.ix_(at, at)]
    return float((block.sum() - block.trace()) / (n * (n - 1)))
