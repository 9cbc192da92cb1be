"""Constraints pushed into retrieval: what each asks of an item, for the whole catalog at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.constraints import fold
from rag_rec.core import ConfigError, Constraints
from rag_rec.index.item_index import ItemIndex

_CACHED = 64


class CatalogLimits:
    """Which items break a constraint on their price, categories, brand or date.

    The same as `rag_rec.constraints.failed` says item by item; stock, exclusion and history are
    the retriever's own. Columns are read when a constraint first asks for them.

    Args:
        index: An open index version.
    """

    def __init__(self, index: ItemIndex) -> None:
        self._items = index.items
        self._n = index.n_items
        self._masks: dict[Constraints, NDArray[np.bool_]] = {}

    def breaks(self, constraints: Constraints) -> NDArray[np.bool_]:
        """``bool [n]``, True for items that may not be listed."""
        found = self._masks.get(constraints)
        if found is None:
            if len(self._masks) >= _CACHED:
                self._masks.clear()
            found = self._masks[constraints] = ~self._keeps(constraints)
        return found

    def check_names(self, constraints: Constraints) -> None:
        """Refuses wanted brands and categories that no item has: a slip of the pen, most likely.

        Raises:
            ConfigError: Names the nearest that there are.
        """
        wanted = constraints.categories | constraints.all_categories
        for field, names, known in (
            ("category", wanted, self.categories),
            ("brand", constraints.brands, self.brands),
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
            (self.categories, asked.categories, asked.not_categories),
            (self.brands, asked.brands, asked.not_brands),
        ):
            if any_of:
                keeps &= self._marked(named, any_of)
            if none_of:
                keeps &= ~self._marked(named, none_of)
        for name in asked.all_categories:
            keeps &= self._marked(self.categories, [name])
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
        return self._items["price"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    @cached_property
    def _released(self) -> NDArray[np.datetime64]:
        return self._items["released"].to_numpy().astype("datetime64[D]")

    @cached_property
    def categories(self) -> dict[str, NDArray[np.int64]]:
        """Rows of each category, by its folded name."""
        return _rows_by_name(enumerate(self._items["categories"].to_list()))

    @cached_property
    def brands(self) -> dict[str, NDArray[np.int64]]:
        """Rows of each brand, by its folded name."""
        brands = self._items["brand"].to_list()
        return _rows_by_name((row, [brand] if brand else []) for row, brand in enumerate(brands))


def _rows_by_name(rows: Iterable[tuple[int, Iterable[str]]]) -> dict[str, NDArray[np.int64]]:
    found: dict[str, list[int]] = {}
    for row, names in rows:
        for name in {fold(name) for name in names}:
            found.setdefault(name, []).append(row)
    return {name: np.array(at, np.int64) for name, at in found.items()}
