"""Command line of the simulator: check the catalog, simulate, write the files, print the table.

Each stage draws from a generator of its own, seeded by the seed and the stage's name, so that a
change to how reviews are written leaves the customers and their histories as they were.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random

from .catalog import Catalog, CatalogError, load_catalog
from .catalog_check import check_catalog
from .customers import make_customers
from .market import make_market
from .output import write_items, write_log, write_planted
from .output import write_reviews as write_review_file
from .planted import planted
from .report import Sample, table
from .reviewing import write_reviews
from .shopping import simulate

HERE = Path(__file__).parent
FILES = ("items.jsonl", "reviews.jsonl", "interactions.csv", "planted.json")


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts.make_sample", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("rag_rec/data/sample"))
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
    for name, value in table(sample, [arguments.out / name for name in FILES]):
        print(f"{name:42} {value}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
