"""Brands and categories of a list as it grows, held against what may be counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rag_rec.constraints.item_rules import fold
from rag_rec.core import Constraints, Item, Relaxable


class Tally:
    """Counts of the items taken so far; what has no limit is not counted.

    Args:
        constraints: Whose ``max_per_brand``, ``max_per_category`` and ``min_categories`` count.
        items: Items taken from the start.
    """

    def __init__(self, constraints: Constraints, items: Iterable[Item] = ()) -> None:
        self._constraints = constraints
        self._by_brand = constraints.max_per_brand is not None
        self._by_category = (
            constraints.max_per_category is not None or constraints.min_categories is not None
        )
        self._brands: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self.n = 0
        for item in items:
            self.add(item)

    def add(self, item: Item) -> None:
        """Takes an item."""
        self._count(item, 1)

    def remove(self, item: Item) -> None:
        """Gives an item back."""
        self._count(item, -1)

    def broken_by(self, item: Item) -> tuple[Relaxable, ...]:
        """Counts that would not hold if this item were added."""
        if not (self._by_brand or self._by_category):
            return ()
        rules, broken = self._constraints, list[Relaxable]()
        brand, category = brand_of(item), category_of(item, rules)
        if _is_full(rules.max_per_brand, self._brands, brand):
            broken.append("max_per_brand")
        if _is_full(rules.max_per_category, self._categories, category):
            broken.append("max_per_category")
        if rules.min_categories is not None:
            new = category is not None and not self._categories[category]
            if self.n_categories + new < min(rules.min_categories, self.n + 1):
                broken.append("min_categories")
        return tuple(broken)

    @property
    def n_categories(self) -> int:
        """Distinct categories so far."""
        return sum(count > 0 for count in self._categories.values())

    @property
    def holds(self) -> bool:
        """Whether the list as it is now obeys all three counts."""
        rules = self._constraints
        few_categories = min(rules.min_categories or 0, self.n) > self.n_categories
        return not (
            few_categories
            or _is_over(rules.max_per_brand, self._brands)
            or _is_over(rules.max_per_category, self._categories)
        )

    def _count(self, item: Item, step: int) -> None:
        self.n += step
        if self._by_brand and (brand := brand_of(item)) is not None:
            self._brands[brand] += step
        if not self._by_category:
            return
        if (category := category_of(item, self._constraints)) is not None:
            self._categories[category] += step


def brand_of(item: Item) -> str | None:
    """The brand an item is counted under."""
    return fold(item.brand) if item.brand else None


def category_of(item: Item, constraints: Constraints) -> str | None:
    """The category an item is counted under; the nearest one where its path is too short.

    >>> item = Item(item_id="a", categories=("Tea & Coffee", "Tea", "Black Tea"))
    >>> [category_of(item, Constraints(category_level=level)) for level in (0, 1, 7, -1)]
    ['tea & coffee', 'tea', 'black tea', 'black tea']
    """
    n, level = len(item.categories), constraints.category_level
    if n == 0:
        return None
    return fold(item.categories[max(-n, min(level, n - 1))])


def _is_full(limit: int | None, counts: Counter[str], name: str | None) -> bool:
    return limit is not None and name is not None and counts[name] >= limit


def _is_over(limit: int | None, counts: Counter[str]) -> bool:
    return limit is not None and any(count > limit for count in counts.values())
