"""What a customer orders next, and roughly when.

With probability .35 the customer follows a bought-after edge from one of the last three
purchases, one to eight weeks after it; with .15 they complete a compatible set already begun,
within about three weeks; with .10 they buy something popular anywhere in the shop; else, or where
nothing of the kind is left, something of their main departments by taste, price fit and
popularity, after a pause that their pace gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from .catalog import Item
from .clock import DAY, WEEK
from .customers import Customer
from .market import Market

FOLLOW, COMPLETE, POPULAR = 0.35, 0.15, 0.10
RECENT = 3
FOLLOW_WEEKS = (1, 8)
SET_DAYS = 10.0
TASTE_SHARPNESS = 1.5  # how much more often than in proportion people buy what suits them best


@dataclass(slots=True)
class History:
    """A customer's purchases, item id -> moment; in the order of time while the history grows."""

    customer: Customer
    bought: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def now(self) -> int:
        """The moment of the last purchase, or of the start."""
        return max(self.bought.values(), default=self.customer.start)


Choice = tuple[Item, int]
Way = Callable[[Market, History, Random], "Choice | None"]


def next_order(market: Market, history: History, rng: Random) -> Choice:
    """The item a customer wants next and the moment they want it; it may not be on sale then."""
    roll = rng.random()
    ways: list[tuple[float, Way]] = [(FOLLOW, _follow), (COMPLETE, _complete), (POPULAR, _popular)]
    for share, way in ways:
        if roll < share:
            return way(market, history, rng) or _by_taste(market, history, rng)
        roll -= share
    return _by_taste(market, history, rng)


def _follow(market: Market, history: History, rng: Random) -> Choice | None:
    recent = list(history.bought.items())[-RECENT:]
    edges = [
        (pair, bought)
        for name, bought in recent
        for other in market.catalog.items[name].leads_to
        if (pair := (name, other)) in market.strength
        and other not in history.bought
        and bought + FOLLOW_WEEKS[1] * WEEK > history.now + DAY
    ]
    if not edges:
        return None
    weights = [market.strength[pair] for pair, _ in edges]
    (_, other), bought = rng.choices(edges, weights)[0]
    earliest = max(bought + FOLLOW_WEEKS[0] * WEEK, history.now)
    return market.catalog.items[other], rng.randint(earliest, bought + FOLLOW_WEEKS[1] * WEEK)


def _complete(market: Market, history: History, rng: Random) -> Choice | None:
    owned = [market.catalog.items[name] for name in history.bought]
    begun = {(item.slug, item.set): None for item in owned if item.set is not None}
    missing = [
        item
        for item in market.catalog.warm()
        if (item.slug, item.set) in begun and item.id not in history.bought
    ]
    wanted = history.now + round(rng.expovariate(1 / SET_DAYS) * DAY)
    return (rng.choice(missing), wanted) if missing else None


def _popular(market: Market, history: History, rng: Random) -> Choice | None:
    wanted = _pause(history, rng)
    items = [item for item in market.catalog.warm() if market.on_sale(item, wanted)]
    items = [item for item in items if item.id not in history.bought]
    if not items:
        return None
    return rng.choices(items, [market.popularity[item.id] ** 2 for item in items])[0], wanted


def _by_taste(market: Market, history: History, rng: Random) -> Choice:
    wanted = _pause(history, rng)
    items = [
        item
        for item in market.catalog.warm()
        if item.slug in history.customer.tastes and item.id not in history.bought
    ]
    weights = [market.appeal(history.customer, item) ** TASTE_SHARPNESS for item in items]
    return rng.choices(items, weights)[0], wanted


def _pause(history: History, rng: Random) -> int:
    if not history.bought:
        return history.customer.start
    return history.now + round(rng.gammavariate(2, history.customer.pace_days / 2) * DAY)
