"""Eligibility: the items that may be listed for a user, for the whole catalog at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.constraints import fold, limits_items
from rag_rec.core import ConfigError, Constraints, Item, UserHistory

_CACHED = 64


class Eligibility:
    """Decides which items may be listed: stock, items already seen, exclusions, constraints.

    Prices, categories, brands and dates are judged as `rag_rec.constraints.failed` judges a
    single item. Columns are read when a constraint first needs them.

    Args:
        items: The catalog; row number is ``item_ix``.
        row_of: Row number of each item id.
        retired: True for items that are no longer in the catalog; they are never listed.
    """

    def __init__(
        self, items: pl.DataFrame, row_of: Mapping[str, int], retired: NDArray[np.bool_]
    ) -> None:
        self._columns = _Columns(items)
        self._row_of = row_of
        self._n = items.height
        self._listed = ~retired
        self._in_stock = items["in_stock"].to_numpy() & ~retired
        self._masks: dict[Constraints, NDArray[np.bool_]] = {}
        self._changed: dict[int, Item | None] = {}

    def changed(self, rows: Mapping[int, Item | None]) -> Eligibility:
        """Return the rules after some rows became another item, or left the catalog (None)."""
        now = copy(self)
        now.__dict__ = {k: v for k, v in self.__dict__.items() if k not in _READ_ONCE}
        now._masks = {}
        now._changed = {**self._changed, **rows}
        now._listed, now._in_stock = self._listed.copy(), self._in_stock.copy()
        for row, item in rows.items():
            now._listed[row] = item is not None
            now._in_stock[row] = item is not None and item.in_stock
        return now

    def mask(self, history: UserHistory) -> NDArray[np.bool_]:
        """Return ``bool [n]``, True for items that may be listed for this user."""
        asked = history.constraints
        barred = asked.exclude if asked.allow_seen else (*asked.exclude, *history.item_ids)
        free = (self._listed if asked.allow_out_of_stock else self._in_stock).copy()
        free[[row for name in barred if (row := self._row_of.get(name)) is not None]] = False
        if limits_items(asked):
            free &= ~self.breaks(asked)
        return free

    def is_brand(self, name: str) -> bool:
        """Return True if an item of the catalog has a brand of this name."""
        return fold(name) in self._brands

    def breaks(self, constraints: Constraints) -> NDArray[np.bool_]:
        """Return ``bool [n]``, True for items that break a constraint on single items."""
        found = self._masks.get(constraints)
        if found is None:
            if len(self._masks) >= _CACHED:
                self._masks.clear()
            found = self._masks[constraints] = ~self._keeps(constraints)
        return found

    def check_names(self, constraints: Constraints) -> None:
        """Refuse wanted brands and categories that no item has, as they are mostly typing errors.

        Raises:
            ConfigError: If a name is unknown; the message lists the nearest known ones.
        """
        wanted = constraints.categories | constraints.all_categories
        for field, names, known in (
            ("category", wanted, self._categories),
            ("brand", constraints.brands, self._brands),
        ):
            for name in sorted(names):
                if fold(name) not in known:
                    near = get_close_matches(fold(name), known, n=3, cutoff=0.5)
                    hint = f"; near it: {', '.join(near)}" if near else ""
                    raise ConfigError(f"no item has the {field} '{name}'{hint}")

    def _keeps(self, asked: Constraints) -> NDArray[np.bool_]:
        keeps = np.ones(self._n, np.bool_)
        # comparisons with a missing price or date (NaN, NaT) are False, as they should be
        if asked.min_price is not None:
            keeps &= self._prices >= asked.min_price
        if asked.max_price is not None:
            keeps &= self._prices <= asked.max_price
        if asked.released_after is not None:
            keeps &= self._released > np.datetime64(asked.released_after)
        if asked.released_before is not None:
            keeps &= self._released < np.datetime64(asked.released_before)
        for named, any_of, none_of in (
            (self._categories, asked.categories, asked.not_categories),
            (self._brands, asked.brands, asked.not_brands),
        ):
            if any_of:
                keeps &= self._marked(named, any_of)
            if none_of:
                keeps &= ~self._marked(named, none_of)
        for name in asked.all_categories:
            keeps &= self._marked(self._categories, [name])
        return keeps

    def _marked(
        self, named: Mapping[str, NDArray[np.int64]], names: Iterable[str]
    ) -> NDArray[np.bool_]:
        marked = np.zeros(self._n, np.bool_)
        for name in names:
            marked[named.get(fold(name), [])] = True
        return marked

    @cached_property
    def _prices(self) -> NDArray[np.float64]:
        prices = {row: item.price for row, item in self._items_now()}
        return _with(self._columns.prices, prices)

    @cached_property
    def _released(self) -> NDArray[np.datetime64]:
        return _with(self._columns.released, {r: item.released for r, item in self._items_now()})

    @cached_property
    def _categories(self) -> Mapping[str, NDArray[np.int64]]:
        names = {row: item.categories for row, item in self._items_now()}
        return _renamed(self._columns.categories, names)

    @cached_property
    def _brands(self) -> Mapping[str, NDArray[np.int64]]:
        names = {row: [item.brand] if item.brand else [] for row, item in self._items_now()}
        return _renamed(self._columns.brands, names)

    def _items_now(self) -> Iterator[tuple[int, Item]]:
        return ((row, item) for row, item in self._changed.items() if item is not None)


_READ_ONCE = ("_prices", "_released", "_categories", "_brands")


class _Columns:
    """Columns of the catalog as it was built, each read when it is first asked for."""

    def __init__(self, items: pl.DataFrame) -> None:
        self._items = items

    @cached_property
    def prices(self) -> NDArray[np.float64]:
        return self._items["price"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    @cached_property
    def released(self) -> NDArray[np.datetime64]:
        return self._items["released"].to_numpy().astype("datetime64[D]")

    @cached_property
    def categories(self) -> dict[str, NDArray[np.int64]]:
        return _rows_by_name(enumerate(self._items["categories"].to_list()))

    @cached_property
    def brands(self) -> dict[str, NDArray[np.int64]]:
        brands = self._items["brand"].to_list()
        return _rows_by_name((row, [brand] if brand else []) for row, brand in enumerate(brands))


def _with(column: NDArray[Any], values: Mapping[int, object]) -> NDArray[Any]:
    """Return a column with some values replaced; None is the type's own "missing"."""
    if not values:
        return column
    missing = np.array("NaT" if column.dtype.kind == "M" else "nan", column.dtype)
    column = column.copy()
    for row, value in values.items():
        column[row] = missing if value is None else value
    return column


def _renamed(
    built: Mapping[str, NDArray[np.int64]], names: Mapping[int, Iterable[str]]
) -> Mapping[str, NDArray[np.int64]]:
    """Return the rows of each name after some rows got other names."""
    if not names:
        return built
    moved = np.fromiter(names, np.int64)
    kept = {name: rows[~np.isin(rows, moved)] for name, rows in built.items()}
    for name, rows in _rows_by_name(names.items()).items():
        kept[name] = np.concatenate([kept.get(name, rows[:0]), rows])
    return {name: rows for name, rows in kept.items() if len(rows)}


def _rows_by_name(rows: Iterable[tuple[int, Iterable[str]]]) -> dict[str, NDArray[np.int64]]:
    found: dict[str, list[int]] = {}
    for row, names in rows:
        for name in {fold(name) for name in names}:
            found.setdefault(name, []).append(row)
    return {name: np.array(at, np.int64) for name, at in found.items()}
