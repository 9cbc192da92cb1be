"""Constraints on a list as a whole: items that share a brand or a category, and new items."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from rag_rec.constraints.item_rules import fold
from rag_rec.core import Constraints, Item, Relaxable


def limits_lists(constraints: Constraints) -> bool:
    """Return True if brands or categories are counted over the list."""
    asked = constraints
    limits = (asked.max_per_brand, asked.max_per_category, asked.min_categories)
    return any(limit is not None for limit in limits)


def n_new_items(constraints: Constraints, k: int) -> int:
    """Return how many of ``k`` places are for new items; see `Constraints.new_items`.

    >>> [n_new_items(Constraints(new_items=share), 10) for share in (0, 0.01, 0.1, 0.25, 1)]
    [0, 1, 1, 3, 10]
    """
    share = constraints.new_items
    return min(k, max(1, math.floor(share * k + 0.5))) if share else 0


class Tally:
    """Counts the brands and categories of a growing list, as far as they are limited.

    Args:
        constraints: Gives ``max_per_brand``, ``max_per_category`` and ``min_categories``.
        items: Items already in the list.
    """

    def __init__(self, constraints: Constraints, items: Iterable[Item] = ()) -> None:
        self._rules = constraints
        self._is_limited = limits_lists(constraints)
        self._brands, self._categories = Counter[str](), Counter[str]()
        self._n = 0
        for item in items:
            self.add(item)

    def add(self, item: Item) -> None:
        """Count an item in."""
        self._n += 1
        if self._is_limited and item.brand:
            self._brands[fold(item.brand)] += 1
        if self._is_limited and (category := category_of(item, self._rules)) is not None:
            self._categories[category] += 1

    def broken_by(self, item: Item) -> tuple[Relaxable, ...]:
        """Return the limits that the list would break with this item added."""
        if not self._is_limited:
            return ()
        rules, broken = self._rules, list[Relaxable]()
        if item.brand and self._brands[fold(item.brand)] >= (rules.max_per_brand or math.inf):
            broken.append("max_per_brand")
        category = category_of(item, rules)
        own = set[str]() if category is None else {category}
        if category and self._categories[category] >= (rules.max_per_category or math.inf):
            broken.append("max_per_category")
        if len(own.union(self._categories)) < min(rules.min_categories or 0, self._n + 1):
            broken.append("min_categories")
        return tuple(broken)

    @property
    def holds(self) -> bool:
        """True if the list obeys all three limits."""
        rules = self._rules
        return (
            max(self._brands.values(), default=0) <= (rules.max_per_brand or self._n)
            and max(self._categories.values(), default=0) <= (rules.max_per_category or self._n)
            and len(self._categories) >= min(rules.min_categories or 0, self._n)
        )


def category_of(item: Item, constraints: Constraints) -> str | None:
    """Return the category an item is counted under, at ``category_level`` or the nearest level.

    >>> item = Item(item_id="a", categories=("Tea & Coffee", "Tea", "Black Tea"))
    >>> [category_of(item, Constraints(category_level=level)) for level in (0, 1, 7, -1)]
    ['tea & coffee', 'tea', 'black tea', 'black tea']
    """
    n, level = len(item.categories), constraints.category_level
    return fold(item.categories[max(-n, min(level, n - 1))]) if n else None
