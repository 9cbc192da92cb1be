"""Who the customers are.

430 customers, user-001 to user-430. The last ten have never ordered: they are known by id only.
Of the others, 20 drawn at random are cold and order exactly once. Everybody has one main
department (probability .55) or two, and in each a dominant taste of weight .7; the remaining .3
is split unevenly over the department's other tastes. The budget level says which prices suit
them, the wish (2 to 40, median about 9) how many orders they would like to place, and the pace
the mean number of days between two of them, so that most histories stretch from the start date
well into 2024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from .catalog import Catalog, Department
from .clock import DAY, END, START

CUSTOMERS = 430
UNKNOWN = 10
COLD = 20
ONE_DEPARTMENT = 0.55
DOMINANT = 0.7
WISH_MEDIAN, WISH_SPREAD = 10.5, 0.7
SHORTEST, LONGEST = 2, 40
BUDGETS = {"modest": 0.6, "middling": 1.0, "generous": 1.7}
BUDGET_SHARES = (0.35, 0.4, 0.25)


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer; `tastes` maps a main department's slug to the weight of each of its tastes."""

    id: str
    tastes: Mapping[str, Mapping[str, float]]
    budget: str
    start: int
    wish: int
    pace_days: float
    unknown: bool

    @property
    def cold(self) -> bool:
        """Whether this customer orders exactly once."""
        return self.wish == 1


def make_customers(catalog: Catalog, rng: Random) -> list[Customer]:
    """All customers, in the order of their ids."""
    numbers = range(1, CUSTOMERS + 1)
    known = CUSTOMERS - UNKNOWN
    cold = set(rng.sample(range(1, known + 1), COLD))
    return [_customer(catalog, n, rng, n in cold, n > known) for n in numbers]


def _customer(catalog: Catalog, number: int, rng: Random, cold: bool, unknown: bool) -> Customer:
    mains = rng.sample(catalog.departments, 1 if rng.random() < ONE_DEPARTMENT else 2)
    start = START + rng.randrange(365 * DAY)
    wish = _wish(rng)
    days = (END - start) / DAY
    return Customer(
        id=f"user-{number:03}",
        tastes={department.slug: _tastes(department, rng) for department in mains},
        budget=rng.choices(list(BUDGETS), BUDGET_SHARES)[0],
        start=start,
        wish=0 if unknown else 1 if cold else wish,
        pace_days=days / wish * rng.uniform(1.1, 1.9),
        unknown=unknown,
    )


def _tastes(department: Department, rng: Random) -> dict[str, float]:
    names = list(department.tastes)
    dominant = rng.choice(names)
    shares = {name: rng.uniform(0.2, 1.0) for name in names if name != dominant}
    scale = (1 - DOMINANT) / sum(shares.values())
    others = {name: round(share * scale, 3) for name, share in shares.items()}
    return {name: DOMINANT if name == dominant else others[name] for name in names}


def _wish(rng: Random) -> int:
    drawn = rng.lognormvariate(math.log(WISH_MEDIAN), WISH_SPREAD)
    return min(LONGEST, max(SHORTEST, round(drawn)))
