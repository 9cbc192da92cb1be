"""Constraints on a list as a whole: how many items share a brand or a category."""

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


class Tally:
    """Counts the brands and categories of a growing list, as far as they are limited.

    Args:
        constraints: Gives ``max_per_brand``, ``max_per_category`` and ``min_categories``.
        items: Items already in the list.
    """

    def __init__(self, constraints: Constraints, items: Iterable[Item] = ()) -> None:
        self._constraints = constraints
        self._by_brand = constraints.max_per_brand is not None
        self._by_category = (
            constraints.max_per_category is not None or constraints.min_categories is not None
        )
        self._brands: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self._n = 0
        for item in items:
            self.add(item)

    def add(self, item: Item) -> None:
        """Count an item in."""
        self._n += 1
        if self._by_brand and item.brand:
            self._brands[fold(item.brand)] += 1
        if self._by_category and (category := category_of(item, self._constraints)) is not None:
            self._categories[category] += 1

    def broken_by(self, item: Item) -> tuple[Relaxable, ...]:
        """Return the limits that the list would break with this item added."""
        if not (self._by_brand or self._by_category):
            return ()
        rules, broken = self._constraints, list[Relaxable]()
        n_brand = self._brands[fold(item.brand)] if item.brand else 0
        if n_brand >= (rules.max_per_brand or math.inf):
            broken.append("max_per_brand")
        category = category_of(item, rules)
        n_category = 0 if category is None else self._categories[category]
        if n_category >= (rules.max_per_category or math.inf):
            broken.append("max_per_category")
        n_distinct = len(self._categories) + (category is not None and n_category == 0)
        if n_distinct < min(rules.min_categories or 0, self._n + 1):
            broken.append("min_categories")
        return tuple(broken)

    @property
    def holds(self) -> bool:
        """True if the list obeys all three limits."""
        rules = self._constraints
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
