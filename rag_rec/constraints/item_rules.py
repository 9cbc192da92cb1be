"""Which constraints one item breaks, and constraints with some of them given up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from pydantic import ValidationError

from rag_rec.core import ConfigError, Constraints, Item, Relaxable

_FIELDS: Mapping[Relaxable, tuple[str, ...]] = {
    "price": ("min_price", "max_price"),
    "category": ("categories", "all_categories", "not_categories"),
    "brand": ("brands", "not_brands"),
    "released": ("released_after", "released_before"),
    "in_stock": ("allow_out_of_stock",),
    "max_per_brand": ("max_per_brand",),
    "max_per_category": ("max_per_category",),
    "min_categories": ("min_categories",),
}
_GIVEN_UP: Mapping[str, Any] = {"allow_out_of_stock": True}
_OF_ITEMS = (*_FIELDS["price"], *_FIELDS["category"], *_FIELDS["brand"], *_FIELDS["released"])
_OF_LISTS = ("max_per_brand", "max_per_category", "min_categories")


def fold(name: str) -> str:
    """A brand's or category's name as it is compared: case and spacing do not count.

    >>> fold(" Black  TEA")
    'black tea'
    """
    return " ".join(name.casefold().split())


def limits_items(constraints: Constraints) -> bool:
    """Whether anything is asked of an item's price, categories, brand or date."""
    return bool(constraints.model_fields_set) and any(
        getattr(constraints, name) not in (None, frozenset()) for name in _OF_ITEMS
    )


def limits_lists(constraints: Constraints) -> bool:
    """Whether anything is counted over the list as a whole."""
    return any(getattr(constraints, name) is not None for name in _OF_LISTS)


def without(constraints: Constraints, given_up: Iterable[Relaxable]) -> Constraints:
    """The constraints that are left when some are given up.

    >>> without(Constraints(max_price=20, max_per_brand=1), ["price"]).max_price is None
    True
    """
    fields = [name for relaxable in given_up for name in _FIELDS[relaxable]]
    defaults = {name: field.get_default() for name, field in Constraints.model_fields.items()}
    changed = {name: _GIVEN_UP.get(name, defaults[name]) for name in fields}
    return constraints.model_copy(update=changed)


def both(one: Constraints, other: Constraints) -> Constraints:
    """Constraints that ask for what either asks for.

    Of two lists of wanted categories or brands, what is on both counts.

    Raises:
        ConfigError: If nothing can obey both, such as two price ranges that do not meet.
    """
    update = {name: getattr(other, name) for name in other.model_fields_set}
    for name, tighter in _TIGHTER.items():
        values = [v for v in (getattr(one, name), getattr(other, name)) if v is not None]
        update[name] = tighter(values) if values else None
    for name in ("exclude", "all_categories", "not_categories", "not_brands"):
        update[name] = getattr(one, name) | getattr(other, name)
    for name in ("categories", "brands"):
        update[name] = _on_both(name, getattr(one, name), getattr(other, name))
    for name in ("allow_seen", "allow_out_of_stock"):
        update[name] = getattr(one, name) or getattr(other, name)
    update["relax"] = tuple(dict.fromkeys((*one.relax, *other.relax)))
    try:
        return Constraints(**one.model_dump() | update)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"the constraints contradict each other: {message}") from error


def _on_both(name: str, ours: frozenset[str], theirs: frozenset[str]) -> frozenset[str]:
    folded = {fold(value) for value in theirs}
    shared = frozenset(value for value in ours if fold(value) in folded)
    if ours and theirs and not shared:
        raise ConfigError(
            f"the constraints contradict each other: {name} {', '.join(sorted(ours))} and "
            f"{', '.join(sorted(theirs))} have none in common"
        )
    return shared or ours or theirs


_TIGHTER: Mapping[str, Callable[[list[Any]], Any]] = {
    "min_price": max,
    "max_price": min,
    "released_after": max,
    "released_before": min,
    "max_per_brand": min,
    "max_per_category": min,
    "min_categories": max,
}


def failed(item: Item, constraints: Constraints) -> tuple[Relaxable, ...]:
    """Constraints that an item breaks on its own; exclusion and history are the caller's.

    >>> failed(Item(item_id="a", price=25.0), Constraints(max_price=20, brands=frozenset({"Acme"})))
    ('price', 'brand')
    """
    return ItemRules(constraints).failed(item)


class ItemRules:
    """What constraints ask of single items, ready to be asked of many.

    Args:
        constraints: Those of `limits_items`, and whether an item must be in stock.
    """

    def __init__(self, constraints: Constraints) -> None:
        self._checks: list[tuple[Relaxable, Callable[[Item], bool]]] = []
        if constraints.min_price is not None or constraints.max_price is not None:
            low = constraints.min_price or 0.0
            high = constraints.max_price if constraints.max_price is not None else math.inf
            self._checks.append(("price", lambda item: _between(item.price, low, high)))
        if constraints.categories or constraints.all_categories or constraints.not_categories:
            self._checks.append(("category", _category_check(constraints)))
        if constraints.brands or constraints.not_brands:
            self._checks.append(("brand", _brand_check(constraints)))
        if constraints.released_after is not None or constraints.released_before is not None:
            after, before = constraints.released_after, constraints.released_before
            self._checks.append(("released", lambda item: _inside(item.released, after, before)))
        if not constraints.allow_out_of_stock:
            self._checks.append(("in_stock", lambda item: item.in_stock))

    def failed(self, item: Item) -> tuple[Relaxable, ...]:
        """Names of what the item breaks."""
        return tuple(name for name, holds in self._checks if not holds(item))


def _between(price: float | None, low: float, high: float) -> bool:
    return price is not None and low <= price <= high


def _inside(released: date | None, after: date | None, before: date | None) -> bool:
    if released is None:
        return False
    return (after is None or released > after) and (before is None or released < before)


def _category_check(constraints: Constraints) -> Callable[[Item], bool]:
    any_of = {fold(name) for name in constraints.categories}
    all_of = {fold(name) for name in constraints.all_categories}
    none_of = {fold(name) for name in constraints.not_categories}

    def holds(item: Item) -> bool:
        own = {fold(name) for name in item.categories}
        return (not any_of or bool(own & any_of)) and all_of <= own and not own & none_of

    return holds


def _brand_check(constraints: Constraints) -> Callable[[Item], bool]:
    wanted = {fold(name) for name in constraints.brands}
    unwanted = {fold(name) for name in constraints.not_brands}

    def holds(item: Item) -> bool:
        own = fold(item.brand) if item.brand else None
        return (not wanted or own in wanted) and own not in unwanted

    return holds
