"""Retrieval over catalogs of 10 thousand to a million items, each in a process of its own.

A synthetic shop: items lie around topics, titles are words of the topic and some common ones,
popularity within a topic is Zipf's, a user stays with few topics and moves on to what often
follows. Vectors are given. The whole index is built (tables, Chroma, sources, ranker) within
3 GiB, then users are served.

`--recall` fits each size twice without the ranker: as it would be, and with every pair of items
compared and no product pruned. Reported is the share of the latter's fifty best items of a user
that the former lists. At 10 thousand items, which are fitted exactly by default, the approximation
is forced (a head of two thousand items, clusters, rare words). `--plot` draws a log-log plot.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rag_rec import Dataset, build_index
from rag_rec.index import ItemIndex
from rag_rec.retrieval import Budget, Diagnostics, RetrievalConfig, open_retriever

SIZES = (10_000, 100_000, 1_000_000)
DIMENSION = 384
EVENTS = 9
MEMORY_GIB = 3.0
EXACT_GIB = 4.5
"""Enough for every neighbour that is wanted at 100 thousand items."""
SINGLES, BATCH = 400, 2_048


class GivenVectors:
    """Looks vectors up by the item number that every text starts with."""

    name, digest, dimension = "given", "0" * 64, DIMENSION

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def embed(self, texts: Any, on_done: Any = None) -> np.ndarray:
        if on_done:
            on_done(len(texts))
        return self._vectors[[int(text.split(maxsplit=1)[0]) for text in texts]]


def shop(n: int, seed: int = 0) -> tuple[Dataset, GivenVectors]:
    """A catalog of ``n`` items, ``n / 2`` users with nine events each."""
    rng = np.random.default_rng(seed)
    n_topics = max(20, n // 100)
    topic = np.sort(rng.integers(0, n_topics, n))
    centres = rng.normal(size=(n_topics, DIMENSION)).astype(np.float32)
    vectors = centres[topic]
    for start in range(0, n, 50_000):
        part = vectors[start : start + 50_000]
        part += rng.normal(scale=0.8, size=part.shape).astype(np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    words = [
        f"{at} t{topic[at]}w{first} t{topic[at]}w{second} common{third}"
        for at, (first, second, third) in enumerate(
            zip(*(rng.zipf(1.5, n) % size for size in (12, 30, 500)), strict=True)
        )
    ]
    starts = np.searchsorted(topic, np.arange(n_topics + 1))
    n_users = n // 2
    user = np.repeat(np.arange(n_users), EVENTS)
    home = rng.integers(0, n_topics, n_users)
    moves = rng.random((n_users, EVENTS)) < 0.3
    at_topic = ((home[:, None] + moves.cumsum(axis=1) * 7) % n_topics).ravel()
    size = np.maximum(starts[at_topic + 1] - starts[at_topic], 1)
    taken = np.minimum(starts[at_topic] + rng.zipf(1.3, len(user)) % size, n - 1)
    items = pl.DataFrame({"item_id": [f"i{at}" for at in range(n)], "title": words})
    log = pl.DataFrame(
        {"user_id": user, "item_id": taken, "timestamp": np.arange(len(user), dtype=np.float64)}
    ).with_columns(
        user_id=pl.format("u{}", "user_id"), item_id=pl.format("i{}", "item_id")
    ).unique(["user_id", "item_id"], maintain_order=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        items.write_parquet(f"{folder}/items.parquet")
        log.write_parquet(f"{folder}/log.parquet")
        data = Dataset.load(items=f"{folder}/items.parquet", interactions=f"{folder}/log.parquet")
    return data, GivenVectors(vectors)


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def fit(size: int, folder: str) -> dict[str, Any]:
    data, vectors = shop(size)
    seconds: dict[str, float] = {}

    def step(what: str, done: int, total: int) -> None:
        name = "storing vectors" if what.startswith("embedding") else what
        now = time.perf_counter()
        seconds.setdefault(f"{name} from", now)
        seconds[name] = now - seconds[f"{name} from"]
        if done in (0, total):
            print(f"{size}: {what} {done}/{total}, peak {peak_gib():.1f} GiB", file=sys.stderr)

    started = time.perf_counter()
    config = RetrievalConfig.within(MEMORY_GIB)
    manifest, _ = build_index(data, folder, embedder=vectors, retrieval=config, on_step=step)
    retrieval = manifest.retrieval
    return {
        "events": data.interactions.height,
        "fit_s": time.perf_counter() - started,
        "steps_s": {k: round(v, 1) for k, v in seconds.items() if not k.endswith("from")},
        "fit_gib": peak_gib(),
        "entries": sum(source["entries"] for source in retrieval["sources"].values()),
        **{k: retrieval[k] for k in ("solve", "solve_why", "neighbours", "fusion", "fusion_why")},
    }


def serve(folder: str) -> dict[str, Any]:
    started = time.perf_counter()
    index = ItemIndex.open(folder)
    retriever = open_retriever(index)
    rng = np.random.default_rng(1)
    known = index.user_ids[: 20 * BATCH]
    users = rng.choice(known, min(BATCH, len(known)), replace=False)
    histories = [index.history(user) for user in users]
    retriever.retrieve(histories[:2], 50)
    opened = time.perf_counter() - started
    singles = []
    for history in histories[:SINGLES]:
        started = time.perf_counter()
        retriever.retrieve([history], 50)
        singles.append(time.perf_counter() - started)
    started = time.perf_counter()
    retriever.retrieve(histories, 50)
    spent = time.perf_counter() - started
    p50, p99 = np.quantile(singles, [0.5, 0.99]) * 1000
    return {
        "open_s": opened,
        "users_per_s": len(histories) / spent,
        "p50_ms": p50,
        "p99_ms": p99,
        "serve_gib": peak_gib(),
    }


def recall_of_exact(size: int) -> float:
    data, vectors = shop(size)
    exact = RetrievalConfig.within(MEMORY_GIB, ranker=False)
    small = size <= exact.budget.exact_items
    rough = replace(exact, budget=Budget(0.03, exact_items=1_000)) if small else exact
    exact = replace(exact, budget=Budget(EXACT_GIB, exact_items=10**9))
    lists = [_lists(data, vectors, config) for config in (exact, rough)]
    return float(np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(*lists, strict=True)]))


def _lists(data: Dataset, vectors: GivenVectors, config: RetrievalConfig) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("RAG_REC_SCRATCH")) as folder:
        build_index(data, folder, embedder=vectors, retrieval=config)
        index = ItemIndex.open(folder, vectors)
        users = [index.history(user) for user in index.user_ids[:500]]
        lists = [items for items, _ in Diagnostics(index).ranked(users, 50)]
        index.close()
    return lists


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Needs matplotlib."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for axis, (name, what) in zip(
        axes,
        {"fit_s": "fit, seconds", "fit_gib": "fit, GiB", "p99_ms": "one user, p99 ms"}.items(),
        strict=True,
    ):
        axis.loglog([row["items"] for row in rows], [row[name] for row in rows], "o-")
        axis.set(xlabel="items", title=what)
        axis.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(path, dpi=120)


def child(step: str, size: int, folder: str) -> None:
    print(json.dumps(fit(size, folder) if step == "fit" else serve(folder)))


def run(step: str, size: int, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", step, str(size), folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("RAG_REC_SCRATCH")) as folder:
        row = {"items": size, **run("fit", size, folder)}
        return row | run("serve", size, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--child", nargs=3, metavar=("STEP", "SIZE", "FOLDER"))
    parser.add_argument("--out", type=Path, help="Also append the rows here, as JSON lines.")
    parser.add_argument("--plot", type=Path, help="Draw the rows of --out here.")
    parser.add_argument("--recall", action="store_true")
    given = parser.parse_args()
    if given.child:
        child(given.child[0], int(given.child[1]), given.child[2])
        return
    if given.recall:
        for size in given.sizes:
            print(f"{size:,} items: {recall_of_exact(size):.3f} of the exact top 50", flush=True)
        return
    print(f"{os.cpu_count()} cores, {MEMORY_GIB:g} GiB for fitting, dimension {DIMENSION}")
    print("| items | events | fit s | fit GiB | users/s | p50 ms | p99 ms | serving GiB |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for size in given.sizes:
        row = measure(size)
        if given.out:
            with given.out.open("a") as out:
                out.write(json.dumps(row) + "\n")
        print(
            f"| {size:,} | {row['events']:,} | {row['fit_s']:.0f} | {row['fit_gib']:.1f} "
            f"| {row['users_per_s']:.0f} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} "
            f"| {row['serve_gib']:.1f} |",
            flush=True,
        )
        print(row["steps_s"], row["solve_why"], row["neighbours"], row["fusion"], file=sys.stderr)
    if given.out and given.plot:
        draw([json.loads(line) for line in given.out.read_text().splitlines()], given.plot)


if __name__ == "__main__":
    main()
