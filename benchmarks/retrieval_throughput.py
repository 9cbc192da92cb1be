"""Users a second in batch against the bare sparse product that retrieval is made of.

Twelve thousand items and twenty thousand users, synthetic. Per round, one after the other: the
bare product (history weights times the summed matrix, nothing read from it), the hundred best
items of each user by weighted sum, the same with the ranker on top, and candidates with their
origins. Ratios are taken within a round; the median of the rounds is reported.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.retrieval_growth import shop
from rag_rec import build_index
from rag_rec.index import ItemIndex
from rag_rec.retrieval.fusion.retriever import FusedRetriever

N_ITEMS, N_USERS, ROUNDS, BATCH = 12_000, 6_000, 5, 256


def spent(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    data, vectors = shop(N_ITEMS)
    with tempfile.TemporaryDirectory() as folder:
        manifest, _ = build_index(data, folder, embedder=vectors)
        index = ItemIndex.open(folder, vectors)
        whole, summed = FusedRetriever(index), FusedRetriever(index)
        summed.ranker = None
        users = [index.history(user) for user in sorted(index.user_ids)[:N_USERS]]
        weights = [whole.history_weights(users[at : at + BATCH]) for at in range(0, N_USERS, BATCH)]
        ways: dict[str, Callable[[], Any]] = {
            "bare product": lambda: [some @ whole.sources.fused for some in weights],
            "weighted sum, 100 best": lambda: summed.rank(users, 100),
            "ranker over the 100 best": lambda: whole.rank(users, 100),
            "candidates with origins": lambda: whole.retrieve(users, 100),
        }
        rounds = [{name: spent(work) for name, work in ways.items()} for _ in range(ROUNDS)]
        index.close()
    print(f"{os.cpu_count()} cores, {N_ITEMS} items, {N_USERS} users, median of {ROUNDS} rounds")
    print(f"fusion: {manifest.retrieval['fusion']}", file=sys.stderr)
    for name in ways:
        rate = np.median([N_USERS / row[name] for row in rounds])
        ratio = np.median([row["bare product"] / row[name] for row in rounds])
        print(f"{name:26} {rate:8.0f} users/s, {ratio:.2f} of the bare product")


if __name__ == "__main__":
    main()
