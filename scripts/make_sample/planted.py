"""The planted structure: what a recommender can find in the log, written down for the tests.

The lift of a bought-after pair a, b compares how often b followed a within 90 days with how often
it would have if each purchase a customer made in that time were drawn by the items' shares of the
log, either of the whole log or of the part of it that b's department makes up. The second is the
stricter: it does not reward knowing a customer's department.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from .catalog import Catalog
from .clock import DAY, day_of
from .customers import Customer
from .market import Market
from .shopping import Purchase

WINDOW = 90 * DAY


@dataclass(frozen=True, slots=True)
class PairLift:
    """One planted pair in the log: how often b followed a, against two kinds of chance."""

    first: str
    second: str
    observed: int
    chance: float
    chance_in_department: float

    @property
    def lift(self) -> float:
        """Against the whole shop."""
        return self.observed / self.chance if self.chance else 0.0

    @property
    def lift_in_department(self) -> float:
        """Against the second item's department."""
        return self.observed / self.chance_in_department if self.chance_in_department else 0.0


def pair_lifts(catalog: Catalog, log: list[Purchase]) -> list[PairLift]:
    """The lift of every planted pair, in catalog order."""
    followed: Counter[tuple[str, str]] = Counter()
    followers: dict[str, Counter[str]] = defaultdict(Counter)
    for first, second in _within_window(log):
        followed[first, second] += 1
        followers[first][catalog.items[second].slug] += 1
    bought = Counter(purchase.item_id for purchase in log)
    by_slug = Counter(catalog.items[purchase.item_id].slug for purchase in log)
    return [
        PairLift(
            first=a,
            second=b,
            observed=followed[a, b],
            chance=followers[a].total() * bought[b] / len(log),
            chance_in_department=followers[a][slug] * bought[b] / by_slug[slug],
        )
        for a, b in catalog.edges()
        for slug in [catalog.items[b].slug]
    ]


def _within_window(log: list[Purchase]) -> list[tuple[str, str]]:
    histories: dict[str, list[Purchase]] = defaultdict(list)
    for purchase in log:
        histories[purchase.user_id].append(purchase)
    return [
        (one.item_id, later.item_id)
        for history in histories.values()
        for one in history
        for later in history
        if 0 < later.moment - one.moment <= WINDOW
    ]


def planted(
    market: Market, customers: list[Customer], log: list[Purchase], seed: int
) -> dict[str, Any]:
    """The contents of planted.json, all but the counts."""
    catalog = market.catalog
    seen = {(p.first, p.second): p.observed for p in pair_lifts(catalog, log)}
    return {
        "seed": seed,
        "departments": {d.slug: {"name": d.name, "tastes": d.tastes} for d in catalog.departments},
        "users": {customer.id: _user(customer) for customer in customers},
        "items": {item.id: list(item.tastes) for item in catalog.items.values()},
        "bought_after": [
            {"first": a, "second": b, "strength": strength, "observed": seen[a, b]}
            for (a, b), strength in market.strength.items()
        ],
        "sets": [
            {"department": d.slug, "name": name, "about": about, "items": d.members(name)}
            for d in catalog.departments
            for name, about in d.sets.items()
        ],
        "cold_users": {
            "one_interaction": [customer.id for customer in customers if customer.cold],
            "no_interaction": [customer.id for customer in customers if customer.unknown],
        },
        "cold_items": [item.id for item in catalog.items.values() if item.cold],
    }


def _user(customer: Customer) -> dict[str, Any]:
    return {
        "tastes": customer.tastes,
        "budget": customer.budget,
        "start": day_of(customer.start).isoformat(),
        "pace_days": round(customer.pace_days, 1),
    }
