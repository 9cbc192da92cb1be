"""The checks printed at the end of a run, to see at a glance whether the sample is as planned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from .customers import Customer
from .market import Market
from .planted import pair_lifts
from .reviewing import Review
from .shopping import Purchase

Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything one seed gives."""

    market: Market
    customers: list[Customer]
    log: list[Purchase]
    reviews: list[Review]


def table(sample: Sample, files: list[Path]) -> Rows:
    """What was counted, with its name."""
    return [*_log(sample), *_reviews(sample), *_pairs(sample), *_sizes(files)]


def _log(sample: Sample) -> Rows:
    log, catalog = sample.log, sample.market.catalog
    lengths = list(Counter(row.user_id for row in log).values())
    rated = sum(row.rated for row in log) / len(log)
    items, warm = len(catalog.items), len(catalog.warm())
    return [
        ("users in the log / known by id only", f"{len(lengths)} / {_unknown(sample)}"),
        ("users with one interaction", str(lengths.count(1))),
        ("items / of these cold", f"{items} / {items - warm}"),
        ("interactions / rated", f"{len(log)} / {rated:.0%}"),
        ("history length min / median / max", _spread(lengths)),
    ]


def _unknown(sample: Sample) -> int:
    return sum(customer.unknown for customer in sample.customers)


def _reviews(sample: Sample) -> Rows:
    given = Counter(review.item_id for review in sample.reviews)
    stars = Counter(review.rating for review in sample.reviews)
    per_item = [given[item.id] for item in sample.market.catalog.warm()]
    return [
        ("reviews", str(len(sample.reviews))),
        ("reviews by stars, 1 to 5", " ".join(str(stars[n]) for n in range(1, 6))),
        ("reviews per warm item min / median / max", _spread(per_item)),
    ]


def _pairs(sample: Sample) -> Rows:
    lifts = pair_lifts(sample.market.catalog, sample.log)
    seen = [pair.observed for pair in lifts]
    return [
        (
            "planted pairs / seen / mean times seen",
            f"{len(seen)} / {sum(map(bool, seen))} / {mean(seen):.1f}",
        ),
        ("mean lift of pairs against the shop", f"{mean(pair.lift for pair in lifts):.1f}"),
        ("mean lift within the department", f"{mean(p.lift_in_department for p in lifts):.1f}"),
        (
            "pairs with a lift within it above 3",
            f"{mean(p.lift_in_department > 3 for p in lifts):.0%}",
        ),
    ]


def _sizes(files: list[Path]) -> Rows:
    sizes = {path.name: path.stat().st_size for path in files}
    rows = [(f"size of {name}", f"{size / 1000:.0f} kB") for name, size in sizes.items()]
    return [*rows, ("size in all", f"{sum(sizes.values()) / 1e6:.2f} MB")]


def _spread(values: list[int]) -> str:
    return f"{min(values)} / {median(values):g} / {max(values)}"
