"""Command line of the simulator: check the catalog, simulate, write the files, print the table.

Each stage draws from a generator of its own, seeded by the seed and the stage's name, so that a
change to how reviews are written leaves the customers and their histories as they were.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean, median

from .catalog import Catalog, CatalogError, load_catalog
from .catalog_check import check_catalog
from .customers import Customer, make_customers
from .market import Market, make_market
from .output import write_items, write_log, write_planted
from .output import write_reviews as write_review_file
from .planted import pair_lifts, planted
from .reviewing import Review, reviews_per_item, write_reviews
from .shopping import Purchase, simulate

HERE = Path(__file__).parent
FILES = ("items.jsonl", "reviews.jsonl", "interactions.csv", "planted.json")


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything one seed gives."""

    market: Market
    customers: list[Customer]
    log: list[Purchase]
    reviews: list[Review]


def make_sample(catalog: Catalog, seed: int) -> Sample:
    """Simulate the shop."""
    customers = make_customers(catalog, Random(f"{seed} customers"))
    market = make_market(catalog, Random(f"{seed} market"))
    log = simulate(market, customers, Random(f"{seed} shopping"))
    reviews = write_reviews(catalog, log, Random(f"{seed} reviewing"))
    return Sample(market, customers, log, reviews)


def write_sample(sample: Sample, seed: int, out: Path) -> None:
    """Write the four files."""
    out.mkdir(parents=True, exist_ok=True)
    write_items(out / FILES[0], sample.market.catalog)
    write_review_file(out / FILES[1], sample.reviews)
    write_log(out / FILES[2], sample.log)
    counts = {
        "items": len(sample.market.catalog.items),
        "users": len(sample.customers),
        "users_in_log": len({row.user_id for row in sample.log}),
        "interactions": len(sample.log),
        "ratings": sum(row.rated for row in sample.log),
        "reviews": len(sample.reviews),
    }
    content = planted(sample.market, sample.customers, sample.log, seed)
    write_planted(out / FILES[3], {"counts": counts, **content})


def table(sample: Sample, out: Path) -> list[tuple[str, str]]:
    """The checks printed at the end of a run."""
    catalog, log = sample.market.catalog, sample.log
    lengths = [sum(row.user_id == c.id for row in log) for c in sample.customers]
    lengths = [length for length in lengths if length > 0]
    given = reviews_per_item(sample.reviews)
    per_item = [given[item.id] for item in catalog.warm()]
    lifts = pair_lifts(catalog, log)
    sizes = [(out / name).stat().st_size for name in FILES]
    stars = [sum(r.rating == n for r in sample.reviews) for n in range(1, 6)]
    rated = sum(row.rated for row in log)
    return [
        ("users in the log / known by id only", f"{len(lengths)} / {430 - len(lengths)}"),
        ("items / of these cold", f"{len(catalog.items)} / {len(catalog.items) - len(per_item)}"),
        ("interactions / rated", f"{len(log)} / {rated / len(log):.0%}"),
        ("history length min / median / max", _spread(lengths)),
        ("reviews", str(len(sample.reviews))),
        ("reviews by stars, 1 to 5", " ".join(map(str, stars))),
        ("reviews per warm item min / median / max", _spread(per_item)),
        ("planted pairs / seen in the log", f"{len(lifts)} / {sum(p.observed > 0 for p in lifts)}"),
        ("mean lift against the shop", f"{mean(p.lift for p in lifts):.1f}"),
        ("mean lift within the department", f"{mean(p.lift_in_department for p in lifts):.1f}"),
        ("size of the files", " + ".join(f"{s / 1000:.0f}" for s in sizes) + " kB"),
        ("size in all", f"{sum(sizes) / 1e6:.2f} MB"),
    ]


def _spread(values: list[int]) -> str:
    return f"{min(values)} / {median(values):g} / {max(values)}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts.make_sample", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("rag_rec/dataset/sample"))
    parser.add_argument("--catalog", type=Path, default=HERE / "catalog")
    return parser.parse_args()


def main() -> int:
    """Run the simulator; 1 when the catalog has mistakes."""
    arguments = _arguments()
    try:
        catalog = load_catalog(arguments.catalog)
        check_catalog(catalog)
    except CatalogError as error:
        print(error, file=sys.stderr)
        return 1
    sample = make_sample(catalog, arguments.seed)
    write_sample(sample, arguments.seed, arguments.out)
    for name, value in table(sample, arguments.out):
        print(f"{name:42} {value}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
