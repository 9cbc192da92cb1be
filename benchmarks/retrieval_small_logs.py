"""Samples of few users: the learned fusion against the best single source.

    python -m benchmarks.retrieval_small_logs ITEMS INTERACTIONS --format sequences

The whole catalog is kept, and the events of 200, 500 and 1,000 users drawn at random; each sample
is measured as ``rag-rec evaluate retrieval`` does, with the history masked and not. Expected: no
sample on which a source alone beats the fusion by more than the interval of the paired difference.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from rag_rec import Dataset
from rag_rec.core import ScratchFolder
from rag_rec.evaluation import RetrievalOptions, evaluate_retrieval

SIZES = (200, 500, 1_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=Path, nargs="?")
    parser.add_argument("interactions", type=Path, nargs="?")
    parser.add_argument("--folder", type=Path, help="For formats that are a folder.")
    parser.add_argument("--format", default="auto")
    parser.add_argument("--seeds", default="0", help="Seeds of the draw, between commas.")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    asked = parser.parse_args()
    data = Dataset.load(
        folder=asked.folder,
        items=asked.items,
        interactions=asked.interactions,
        format=asked.format,
    )
    users = data.interactions["user_id"].unique(maintain_order=True).to_list()
    with ScratchFolder("small") as scratch:
        for size in map(int, asked.sizes.split(",")):
            for seed in map(int, asked.seeds.split(",")):
                _measure(data, users, size, seed, scratch / "index")


def _measure(data: Dataset, users: list[str], size: int, seed: int, index: Path) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(users), min(size, len(users)), replace=False)
    some = [users[at] for at in drawn.tolist()]
    small = replace(data, interactions=data.interactions.filter(pl.col("user_id").is_in(some)))
    for mask in (True, False):
        report = evaluate_retrieval(
            small, RetrievalOptions(ks=(10,), mask_history=mask, index=index)
        )
        row = next(
            row
            for row in report["against_sources"]
            if row["name"] == "all users" and row["metric"] == "ndcg@10"
        )
        sys.stdout.write(
            f"{len(some)} users, seed {seed}, {'masked' if mask else 'not masked'}: fusion "
            f"{row['fusion']:.4f}, {row['source']} {row['best']:.4f}, difference "
            f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}); "
            f"{report['fusion']}, decay {report['decay']:g}, "
            f"replay {report['replay']:.2g}, weights "
            + " ".join(f"{name} {weight:.2g}" for name, weight in report["weights"].items())
            + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
