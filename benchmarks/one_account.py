"""What one account can do: the users who get its item, by the number of its events.

The account takes the rarest item of the sample after each of the 100 most popular ones, again and
again. Expected: its item among the first ten of no more users than without it.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from rag_rec import Dataset, Recommender, build_index, load_sample
from rag_rec.testing import HashEmbedder

ROUNDS = (0, 1, 5, 20)


def attacked(data: Dataset, popular: list[str], target: str, rounds: int) -> Dataset:
    log = data.interactions
    taken = [item for _ in range(rounds) for other in popular for item in (other, target)]
    latest = int(log["timestamp"].to_numpy().max())
    fake = pl.DataFrame({
        "user_id": ["zz"] * len(taken),
        "item_id": taken,
        "timestamp": range(latest, latest + len(taken)),
        "rating": [5.0] * len(taken),
    }).cast(dict(log.schema))  # fmt: skip
    return replace(data, interactions=pl.concat([log, fake]))


def main() -> None:
    data, embedder = load_sample(), HashEmbedder()
    users = data.interactions["user_id"].unique(maintain_order=True).to_list()
    counts = data.interactions["item_id"].value_counts().sort("count", "item_id", descending=True)
    target, popular = counts["item_id"][-1], counts["item_id"][:100].to_list()
    for rounds in ROUNDS:
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "index"
            build_index(attacked(data, popular, target, rounds), index, embedder=embedder)
            with Recommender.open(index, "none", embedder=embedder) as recommender:
                asked = [recommender.history_of(user) for user in users]
                found = recommender.retriever.retrieve(asked, 10)
        share = np.mean([target in [item.item_id for item in row] for row in found])
        print(f"{200 * rounds:,} events: {share:.1%} of {len(users)} users", flush=True)


if __name__ == "__main__":
    main()
