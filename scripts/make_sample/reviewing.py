"""Who writes reviews, when, and of what.

A review is written by a customer who bought and rated the item, some days or weeks after the
purchase (median 18 days; one in seven only after three to ten months). Every warm item gets three
reviews first, for which some buyers are asked who had not rated; then rated purchases drawn at
random add more, at most twelve an item, up to 1750 in all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from .catalog import Catalog, Item
from .clock import DAY, END, day_of, midnight, settle
from .composing import Composer
from .personal import Circumstances, load_pool
from .shopping import REVIEWABLE_UNTIL, Purchase

TARGET = 1750
LEAST, MOST = 3, 12
DELAY_MEDIAN, DELAY_SPREAD = 18.0, 0.8
LATE = 0.15
LATE_DAYS = (90, 300)
AFTER_DAYS = 150  # an earlier purchase counts as the reason for a later one for so long


@dataclass(frozen=True, slots=True)
class Review:
    """One line of reviews.jsonl, but for its number."""

    item_id: str
    user_id: str
    rating: int
    text: str
    moment: int


def write_reviews(catalog: Catalog, log: list[Purchase], rng: Random) -> list[Review]:
    """All reviews, ordered by time; purchases whose review needs a rating become rated."""
    baskets: dict[str, dict[str, int]] = defaultdict(dict)
    for purchase in log:
        baskets[purchase.user_id][purchase.item_id] = purchase.moment
    composer = Composer(load_pool(), rng)
    reviews = [
        _review(catalog, purchase, baskets[purchase.user_id], composer)
        for purchase in _chosen(log, rng)
    ]
    return sorted(reviews, key=lambda review: (review.moment, review.user_id))


def _chosen(log: list[Purchase], rng: Random) -> list[Purchase]:
    by_item: dict[str, list[Purchase]] = defaultdict(list)
    for purchase in rng.sample(log, len(log)):
        if purchase.moment <= REVIEWABLE_UNTIL:
            by_item[purchase.item_id].append(purchase)
    chosen: list[Purchase] = []
    for purchases in by_item.values():
        purchases.sort(key=lambda purchase: not purchase.rated)
        chosen.extend(purchases[:LEAST])
    for purchase in chosen:
        purchase.rated = True
    more = [p for purchases in by_item.values() for p in purchases[LEAST:MOST] if p.rated]
    return chosen + rng.sample(more, min(len(more), max(0, TARGET - len(chosen))))


def _review(
    catalog: Catalog, purchase: Purchase, basket: Mapping[str, int], composer: Composer
) -> Review:
    moment = _written(purchase.moment, composer.rng)
    about = _circumstances(catalog, purchase, basket, moment)
    text = composer.compose(purchase.rating, about)
    return Review(purchase.item_id, purchase.user_id, purchase.rating, text, moment)


def _written(bought: int, rng: Random) -> int:
    days = rng.lognormvariate(math.log(DELAY_MEDIAN), DELAY_SPREAD)
    if rng.random() < LATE:
        days = rng.uniform(*LATE_DAYS)
    room = END - 3 * DAY - bought
    wanted = bought + min(round(max(2.0, days) * DAY), round(room * rng.uniform(0.3, 1)))
    return min(END, settle(rng, wanted, bought + DAY // 2))


def _circumstances(
    catalog: Catalog, purchase: Purchase, basket: Mapping[str, int], written: int
) -> Circumstances:
    item = catalog.items[purchase.item_id]
    before = [catalog.items[name] for name, when in basket.items() if when < purchase.moment]
    since = {it.id: (purchase.moment - basket[it.id]) // DAY for it in before}
    leading = [it for it in before if item.id in it.leads_to and since[it.id] <= AFTER_DAYS]
    return Circumstances(
        item=item,
        user_number=int(purchase.user_id.removeprefix("user-")),
        after=leading[-1] if leading else None,
        month=day_of(purchase.moment).month,
        days_since=since[leading[-1].id] if leading else 0,
        first_of_taste=not any(_alike(item, other) for other in before),
        days_used=(midnight(day_of(written)) - midnight(day_of(purchase.moment))) // DAY,
    )


def _alike(item: Item, other: Item) -> bool:
    return item.slug == other.slug and any(taste in other.tastes for taste in item.tastes)
