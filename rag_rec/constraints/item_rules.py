"""Constraints on single items: bounds, combination, relaxation, and the check of an item."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from operator import le, lt, or_
from typing import Any

from pydantic import ValidationError

from rag_rec.core import ConfigError, Constraints, Item, Relaxable, entities_resolved, one_line

_FIELDS: Mapping[Relaxable, tuple[str, ...]] = {
    "price": ("min_price", "max_price"),
    "category": ("categories", "all_categories", "not_categories"),
    "brand": ("brands", "not_brands"),
    "released": ("released_after", "released_before"),
    "in_stock": ("allow_out_of_stock",),
}
_RELAXED: Mapping[str, Any] = {
    name: field.get_default() for name, field in Constraints.model_fields.items()
} | {"allow_out_of_stock": True}
_ITEM_FIELDS = (*_FIELDS["price"], *_FIELDS["category"], *_FIELDS["brand"], *_FIELDS["released"])


@lru_cache(maxsize=1 << 16)
def fold(name: str) -> str:
    """Return a brand's or category's name as names are compared: without case and HTML entities.

    >>> fold(" Black  &amp; DECKER")
    'black & decker'
    """
    return unicodedata.normalize("NFC", one_line(entities_resolved(name))).casefold()


def limits_items(constraints: Constraints) -> bool:
    """Return True if the price, categories, brand or date of an item is constrained."""
    return bool(constraints.model_fields_set) and any(
        getattr(constraints, name) not in (None, frozenset()) for name in _ITEM_FIELDS
    )


def without(constraints: Constraints, given_up: Iterable[Relaxable]) -> Constraints:
    """Return the constraints that remain when some are given up.

    >>> without(Constraints(max_price=20, max_per_brand=1), ["price"]).max_price is None
    True
    """
    names = [name for relaxable in given_up for name in _FIELDS.get(relaxable, (relaxable,))]
    return constraints.model_copy(update={name: _RELAXED[name] for name in names})


def price_bounds(sign: str, price: float) -> Constraints:
    """Return the constraint of one of ``< <= = >= >`` with a price; strict ones are a float inside.

    Raises:
        ConfigError: If the sign is another one, or no price satisfies the comparison.
    """
    if not math.isfinite(price) or price < 0:
        raise ConfigError(f"a price is 0 or more, not {price:g}")
    match sign:
        case "=":
            return Constraints(min_price=price, max_price=price)
        case ">" | ">=":
            return Constraints(min_price=math.nextafter(price, math.inf) if sign == ">" else price)
        case "<" if price == 0:
            raise ConfigError("no price is below 0")
        case "<" | "<=":
            return Constraints(max_price=math.nextafter(price, 0) if sign == "<" else price)
        case _:
            raise ConfigError("a price is compared with < <= = >= >; 'not' goes with all but =")


def release_bounds(sign: str, day: date) -> Constraints:
    """Return the constraint of one of ``< <= >= >`` with a release date.

    Raises:
        ConfigError: If the sign is another one, or the bound leaves the calendar.
    """
    if sign not in {"<", "<=", ">=", ">"}:
        raise ConfigError("a date is compared with < <= >= >")
    one = timedelta(days=1)
    try:
        if sign[0] == ">":
            return Constraints(released_after=day - one if sign == ">=" else day)
        return Constraints(released_before=day + one if sign == "<=" else day)
    except OverflowError as error:
        raise ConfigError(f"{sign}{day} leaves the calendar; leave the bound out") from error


def both(*constraints: Constraints) -> Constraints:
    """Combine constraints that must hold together; later ones decide the category level.

    Of several sets of wanted categories or brands, the names that all sets share remain.

    Raises:
        ConfigError: If nothing can satisfy all of them, such as two disjoint price ranges.
    """
    fields: dict[str, Any] = {}
    try:
        for part in constraints:
            for name in part.model_fields_set:
                value = getattr(part, name)
                known = fields.get(name)
                fields[name] = value if known is None else _combined(name, known, value)
        return Constraints(**fields)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"the constraints contradict each other: {message}") from error


def _combined(name: str, one: Any, other: Any) -> Any:
    if other is None:
        return one
    combined = _COMBINERS.get(name, or_)(one, other)
    if combined == frozenset() and one:
        raise ConfigError(
            f"the constraints contradict each other: {name} {', '.join(sorted(one))} and "
            f"{', '.join(sorted(other))} have none in common"
        )
    return combined


def _shared(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    folded = {fold(name) for name in other}
    shared = frozenset(name for name in one if fold(name) in folded)
    return shared if one and other else one or other


_COMBINERS: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("min_price", "released_after", "min_categories", "new_items"), max),
    **dict.fromkeys(("max_price", "released_before", "max_per_brand", "max_per_category"), min),
    **dict.fromkeys(("categories", "brands"), _shared),
    "category_level": lambda _, level: level,
    "relax": lambda one, other: tuple(dict.fromkeys((*one, *other))),
}


def failed(item: Item, constraints: Constraints) -> tuple[Relaxable, ...]:
    """Return the constraints that an item breaks on its own; see `ItemRules`.

    >>> failed(Item(item_id="a", price=25.0), Constraints(max_price=20, brands=frozenset({"Acme"})))
    ('price', 'brand')
    """
    return ItemRules(constraints).failed(item)


class ItemRules:
    """Checks items one by one; exclusion and history are left to the caller.

    Args:
        constraints: Limits of price, category, brand, release date and stock.
    """

    def __init__(self, constraints: Constraints) -> None:
        asked, checks = constraints, list[tuple[Relaxable, Callable[[Item], bool]]]()
        if asked.min_price is not None or asked.max_price is not None:
            prices = _within(lambda item: item.price, asked.min_price, asked.max_price, le)
            checks.append(("price", prices))
        if asked.categories or asked.all_categories or asked.not_categories:
            names = asked.categories, asked.not_categories, asked.all_categories
            checks.append(("category", _names_check(lambda item: item.categories, *names)))
        if asked.brands or asked.not_brands:
            names = asked.brands, asked.not_brands
            checks.append(("brand", _names_check(lambda i: [i.brand] if i.brand else [], *names)))
        if asked.released_after is not None or asked.released_before is not None:
            after, before = asked.released_after, asked.released_before
            checks.append(("released", _within(lambda item: item.released, after, before, lt)))
        if not asked.allow_out_of_stock:
            checks.append(("in_stock", lambda item: item.in_stock))
        self._checks = checks

    def failed(self, item: Item) -> tuple[Relaxable, ...]:
        """Return the names of the constraints that an item breaks."""
        return tuple(name for name, holds in self._checks if not holds(item))


def _within(
    value_of: Callable[[Item], Any], low: Any, high: Any, below: Callable[[Any, Any], bool]
) -> Callable[[Item], bool]:
    def holds(item: Item) -> bool:
        value = value_of(item)
        return (
            value is not None
            and (low is None or below(low, value))
            and (high is None or below(value, high))
        )

    return holds


def _names_check(
    names_of: Callable[[Item], Iterable[str]],
    any_of: Iterable[str],
    none_of: Iterable[str],
    all_of: Iterable[str] = (),
) -> Callable[[Item], bool]:
    wanted, unwanted, needed = (set(map(fold, names)) for names in (any_of, none_of, all_of))

    def holds(item: Item) -> bool:
        own = {fold(name) for name in names_of(item)}
        return (not wanted or bool(own & wanted)) and needed <= own and not own & unwanted

    return holds
