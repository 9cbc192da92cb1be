"""What the customers buy, and when.

A history grows one order at a time. With probability .35 the customer follows a bought-after edge
from one of the last three purchases, one to eight weeks after it; with .15 they complete a
compatible set already begun, within about three weeks; with .10 they buy something popular
anywhere in the shop; else, or where nothing of the kind is left, something of their main
departments by taste, price fit and popularity, after a pause that their pace gives. No item is
bought twice by one customer, none before its release, and no two orders of one customer share a
second.

Afterwards every warm item that fewer than four customers bought in time for a review is bought by
more customers whom it suits. About 70 % of the purchases are rated, by how well the item fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from .catalog import Item
from .clock import DAY, END, WEEK, midnight, settle
from .customers import LONGEST, SHORTEST, Customer
from .market import Market

FOLLOW, COMPLETE, POPULAR = 0.35, 0.15, 0.10
RECENT = 3
SET_DAYS = 10.0
RATED = 0.7
BUYERS = 4
REVIEWABLE_UNTIL = END - 4 * DAY
TASTE_SHARPNESS = 1.5


@dataclass(slots=True)
class Purchase:
    """One line of the log; `rating` is what the customer thinks, `rated` whether they said so."""

    user_id: str
    item_id: str
    moment: int
    rating: int
    rated: bool


@dataclass(slots=True)
class History:
    """A customer's purchases so far: item id -> moment, in the order of time."""

    customer: Customer
    bought: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def now(self) -> int:
        """The moment of the last purchase, or of the start."""
        return max(self.bought.values(), default=self.customer.start)


Choice = tuple[Item, int]
Way = Callable[[Market, History, Random], "Choice | None"]


def simulate(market: Market, customers: list[Customer], rng: Random) -> list[Purchase]:
    """The whole log, ordered by time."""
    histories = [_history(market, customer, rng) for customer in customers]
    for item in market.catalog.warm():
        _find_buyers(market, item, histories, rng)
    rows = [_rate(market, h.customer, n, t, rng) for h in histories for n, t in h.bought.items()]
    return sorted(rows, key=lambda row: (row.moment, row.user_id))


def _history(market: Market, customer: Customer, rng: Random) -> History:
    history = History(customer)
    while len(history.bought) < customer.wish:
        item, wanted = _next(market, history, rng)
        moment = settle(rng, wanted, history.now)
        if moment > END or not market.on_sale(item, moment):
            if len(history.bought) >= min(SHORTEST, customer.wish):
                break
            continue
        history.bought[item.id] = moment
    return history


def _next(market: Market, history: History, rng: Random) -> Choice:
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
        and bought + 8 * WEEK > history.now + DAY
    ]
    if not edges:
        return None
    weights = [market.strength[pair] for pair, _ in edges]
    (_, other), bought = rng.choices(edges, weights)[0]
    earliest = max(bought + WEEK, history.now)
    return market.catalog.items[other], rng.randint(earliest, bought + 8 * WEEK)


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


def _find_buyers(market: Market, item: Item, histories: list[History], rng: Random) -> None:
    """Let more customers buy an item until enough of them can review it."""
    buyers = sum(h.bought.get(item.id, END) <= REVIEWABLE_UNTIL for h in histories)
    last = min(market.last_sale(item), REVIEWABLE_UNTIL - 4 * DAY)
    while buyers < BUYERS:
        takers = [h for h in histories if _could_take(h, item)]
        weights = [0.01 + market.taste_fit(h.customer, item) for h in takers]
        taker = rng.choices(takers, weights)[0]
        first = max(midnight(item.released) + DAY, taker.customer.start)
        if first < last:
            moment = settle(rng, rng.randint(first, last), first)
            taker.bought[item.id] = moment
            buyers += 1


def _could_take(history: History, item: Item) -> bool:
    count = len(history.bought)
    return SHORTEST <= count < LONGEST and item.id not in history.bought


def _rate(market: Market, customer: Customer, name: str, moment: int, rng: Random) -> Purchase:
    item = market.catalog.items[name]
    fit = 1.3 * market.taste_fit(customer, item) + 0.6 * market.price_fit(customer, item)
    opinion = 2.8 + fit + market.quality[name] + rng.gauss(0, 1.05)
    rating = min(5, max(1, round(opinion)))
    return Purchase(customer.id, name, moment, rating, rng.random() < RATED)
