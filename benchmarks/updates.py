"""A nightly update with one per cent of new events: seconds against a full build, and the lists.

    python -m benchmarks.updates sample --out DIR
    python -m benchmarks.updates beauty --data ../shared/data --out DIR
    python -m benchmarks.updates shop:100000 --out DIR

An index is built without the last hundredth of the log's events (by users drawn at random, the
latest of each); they are recorded live. Then, one after the other: a build of everything in an
empty folder, texts embedded; ``index --update`` on a copy; and the same with ``--keep-fusion`` on
another. Lists are compared for 2,000 users: the share whose ten first are the same, and the mean
overlap of the ten.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.retrieval_growth import shop
from rag_rec import (
    Dataset,
    Embedder,
    Interaction,
    ItemIndex,
    SentenceTransformerEmbedder,
    build_index,
    load_sample,
    open_retriever,
    update_index,
)
from rag_rec.index import LiveLog
from rag_rec.index.live.changes import EventRecorded
from rag_rec.retrieval import RetrievalConfig

SHARE, USERS, BEST = 0.01, 2_000, 10


def data_of(name: str, folder: Path) -> tuple[Dataset, Embedder]:
    if name == "sample":
        return load_sample(), SentenceTransformerEmbedder()
    if name == "beauty":
        files = {
            "items": folder / "beauty" / "items.jsonl",
            "interactions": folder / "beauty" / "sequences.txt",
        }
        return Dataset.load(**files, format="sequences"), SentenceTransformerEmbedder()
    return shop(int(name.partition(":")[2]))


def latest(log: pl.DataFrame, seed: int = 0) -> pl.Series:
    """Mark a hundredth of the events, each the latest of a user with four or more."""
    rows = log.with_row_index("row").group_by("user_id").agg(pl.col("row").max(), pl.len())
    rows = rows.filter(pl.col("len") > 3).sort("row")["row"]
    chosen = rows.sample(min(round(SHARE * log.height), len(rows)), seed=seed)
    return pl.Series(np.isin(np.arange(log.height), chosen.to_numpy()))


def lists_of(folder: Path, embedder: Embedder) -> list[list[str]]:
    index = ItemIndex.open(folder, embedder)
    users = [index.history(user) for user in sorted(index.user_ids)[:USERS]]
    retriever = open_retriever(index)
    found = [
        [candidate.item_id for candidate in row]
        for start in range(0, len(users), 256)
        for row in retriever.retrieve(users[start : start + 256], BEST)
    ]
    index.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("indexes/updates"))
    asked = parser.parse_args()
    data, embedder = data_of(asked.name, asked.data)
    config = RetrievalConfig.within(3.0 if asked.name.startswith("shop") else 6.0)
    out = asked.out / asked.name.replace(":", "-")
    shutil.rmtree(out, ignore_errors=True)
    late = latest(data.interactions)
    before = replace(data, interactions=data.interactions.filter(~late))
    build_index(before, out / "update", embedder=embedder, retrieval=config)
    changes = [
        EventRecorded(user_id=u, event=Interaction(item_id=i, timestamp=t, rating=r))
        for u, i, t, r in data.interactions.filter(late).iter_rows()
    ]
    LiveLog(out / "update").append(changes)
    shutil.copytree(out / "update", out / "kept")
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    build_index(data, out / "build", embedder=embedder, retrieval=config)
    seconds["build"] = time.perf_counter() - started
    for name in ("update", "kept"):
        started = time.perf_counter()
        update_index(out / name, embedder=embedder, retrieval=config, keep_fusion=name == "kept")
        seconds[name] = time.perf_counter() - started
    built = lists_of(out / "build", embedder)
    sys.stdout.write(f"{asked.name}: {len(changes):,} new events\n")
    for name, spent in seconds.items():
        pairs = list(zip(built, lists_of(out / name, embedder), strict=True))
        same = np.mean([one == other for one, other in pairs])
        overlap = np.mean([len({*one} & {*other}) / max(1, len(one)) for one, other in pairs])
        share = spent / seconds["build"]
        sys.stdout.write(
            f"{name}: {spent:.0f} s ({share:.2f} of a build), same ten {same:.1%}, "
            f"overlap {overlap:.1%}\n"
        )


if __name__ == "__main__":
    main()
