"""What holds for all customers: how popular, good and available items are, and how well they fit.

Popularity is Zipf-like within a department: the item of rank r weighs 1 / (r + 2) ** 0.8, the
ranks being drawn at random. Quality is a small normal shift of an item's ratings. Every bought-
after pair has a strength between .5 and 1, by which one of several possible follow-ups is chosen.
An item can be bought from its release on; one out of stock has not been sold since 1 October
2024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from random import Random
from statistics import median

from .catalog import Catalog, Item
from .clock import END, midnight
from .customers import BUDGETS, DOMINANT, Customer

ZIPF_SHIFT, ZIPF_POWER = 2, 0.8
QUALITY_SPREAD = 0.3
PRICE_SPREAD = 0.9
SOLD_OUT = midnight(date(2024, 10, 1))


@dataclass(frozen=True, slots=True)
class Market:
    """The catalog with all that was drawn about its items."""

    catalog: Catalog
    popularity: Mapping[str, float]
    quality: Mapping[str, float]
    strength: Mapping[tuple[str, str], float]
    usual_price: Mapping[str, float]

    def on_sale(self, item: Item, moment: int) -> bool:
        """Whether the item can be ordered at this moment."""
        return midnight(item.released) <= moment <= self.last_sale(item) and not item.cold

    def last_sale(self, item: Item) -> int:
        """The last second at which the item is sold."""
        return END if item.in_stock else SOLD_OUT

    def taste_fit(self, customer: Customer, item: Item) -> float:
        """From 0 (no interest in the department) to 1 (the item is of the dominant taste)."""
        weights = customer.tastes.get(item.slug, {})
        return max(weights.get(taste, 0.0) for taste in item.tastes) / DOMINANT

    def price_fit(self, customer: Customer, item: Item) -> float:
        """A bell curve from 0 to 1 around the price that suits the budget in the department."""
        wanted = self.usual_price[item.slug] * BUDGETS[customer.budget]
        return math.exp(-0.5 * (math.log(item.price / wanted) / PRICE_SPREAD) ** 2)

    def appeal(self, customer: Customer, item: Item) -> float:
        """How likely this customer comes upon this item without any other reason."""
        fits = self.taste_fit(customer, item) * self.price_fit(customer, item)
        return fits * self.popularity[item.id]


def make_market(catalog: Catalog, rng: Random) -> Market:
    """Draw popularity, quality and pair strengths."""
    quality = {name: rng.gauss(0, QUALITY_SPREAD) for name in catalog.items}
    strength = {edge: round(rng.uniform(0.5, 1.0), 2) for edge in catalog.edges()}
    usual = {d.slug: median(item.price for item in d.items) for d in catalog.departments}
    return Market(catalog, _popularity(catalog, rng), quality, strength, usual)


def _popularity(catalog: Catalog, rng: Random) -> dict[str, float]:
    drawn: dict[str, float] = {}
    for department in catalog.departments:
        names = [item.id for item in department.items]
        rng.shuffle(names)
        drawn |= {n: (rank + ZIPF_SHIFT) ** -ZIPF_POWER for rank, n in enumerate(names)}
    return drawn
