"""What the customers buy, and when.

A history grows one order at a time (choosing.py) until the customer has placed the orders they
wish to place or 2024 is over. No item is bought twice by one customer, none before its release or
after it sold out, and no two orders of one customer share a second.

Afterwards every warm item that fewer than four customers bought in time for a review is bought by
more customers, preferably such as like its tastes. About 70 % of the purchases are rated: the
opinion starts at 2.8, gains up to 1.3 for the taste fit and .6 for the price fit, moves by the
item's quality and a noise of spread 1.05, and is rounded to 1 to 5 stars.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .catalog import Item
from .choosing import History, next_order
from .clock import DAY, END, midnight, settle
from .customers import LONGEST, SHORTEST, Customer
from .market import Market

RATED = 0.7
BASE, TASTE, PRICE, NOISE = 2.8, 1.3, 0.6, 1.05
BUYERS = 4
REVIEWABLE_UNTIL = END - 4 * DAY


@dataclass(slots=True)
class Purchase:
    """One line of the log; `rating` is what the customer thinks, `rated` whether they said so."""

    user_id: str
    item_id: str
    moment: int
    rating: int
    rated: bool


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
        item, wanted = next_order(market, history, rng)
        moment = settle(rng, wanted, history.now)
        if market.on_sale(item, moment):
            history.bought[item.id] = moment
        elif moment > END and len(history.bought) >= min(SHORTEST, customer.wish):
            break
    return history


def _find_buyers(market: Market, item: Item, histories: list[History], rng: Random) -> None:
    """Let more customers buy an item until enough of them can review it."""
    buyers = sum(h.bought.get(item.id, END) <= REVIEWABLE_UNTIL for h in histories)
    last = min(market.last_sale(item), REVIEWABLE_UNTIL) - 5 * DAY
    while buyers < BUYERS:
        takers = [h for h in histories if _could_take(h, item)]
        weights = [0.01 + market.taste_fit(h.customer, item) for h in takers]
        taker = rng.choices(takers, weights)[0]
        first = max(midnight(item.released) + DAY, taker.customer.start)
        if first < last:
            taker.bought[item.id] = _free_second(
                taker, settle(rng, rng.randint(first, last), first)
            )
            buyers += 1


def _free_second(history: History, moment: int) -> int:
    while moment in history.bought.values():
        moment += 1
    return moment


def _could_take(history: History, item: Item) -> bool:
    count = len(history.bought)
    return SHORTEST <= count < LONGEST and item.id not in history.bought


def _rate(market: Market, customer: Customer, name: str, moment: int, rng: Random) -> Purchase:
    item = market.catalog.items[name]
    fit = TASTE * market.taste_fit(customer, item) + PRICE * market.price_fit(customer, item)
    opinion = BASE + fit + market.quality[name] + rng.gauss(0, NOISE)
    rating = min(5, max(1, round(opinion)))
    return Purchase(customer.id, name, moment, rating, rng.random() < RATED)
