"""What the live layer is worth: lists with live changes against a rebuild, and against nothing.

    python -m benchmarks.live_quality events --data ../shared/data --out indexes/live
    python -m benchmarks.live_quality items --data ../shared/data --out indexes/live

Amazon Beauty without everybody's last event; what is asked for is the event before that, which no
index holds, so the test of the set's usual protocol stays unseen. ``events`` puts a tenth of
the log's other events aside, the latest of users drawn at random, builds an index without them and
records them live; ``items`` puts a tenth of the items aside with all their events, and upserts
them. Both are compared with a build that held everything, and with the first index as it was.
The index of a run before is opened again; the layer starts empty.
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

from rag_rec import (
    Constraints,
    Dataset,
    Interaction,
    Item,
    ItemIndex,
    LiveIndex,
    build_index,
    open_retriever,
)
from rag_rec.data import Split, leave_last_out
from rag_rec.evaluation.metrics.accuracy import ndcg, ranks_of, recall
from rag_rec.index import LiveLog
from rag_rec.index.live.changes import EventRecorded

SHARE, KS = 0.1, (10, 50)


def build(data: Dataset, folder: Path, vectors_of: Path | None = None) -> None:
    """Build an index, unless it is there; take vectors over from another."""
    if not folder.exists():
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        if vectors_of is not None:
            shutil.copytree(vectors_of, unfinished, ignore=shutil.ignore_patterns("live.sqlite*"))
        build_index(data, unfinished, replace=vectors_of is not None)
        unfinished.rename(folder)
    for path in folder.glob("live.sqlite*"):
        path.unlink()


def latest_of_some(log: pl.DataFrame, seed: int = 0) -> pl.Series:
    """Mark a tenth of the events: the latest of users drawn at random, two at most a user."""
    placed = log.with_columns(
        age=pl.len().over("user_id") - 1 - pl.int_range(pl.len()).over("user_id"),
        n=pl.len().over("user_id"),
    )
    users = placed["user_id"].unique(maintain_order=True).shuffle(seed)
    order = pl.DataFrame({"user_id": users, "order": np.arange(len(users))})
    placed = placed.join(order, on="user_id", how="left", maintain_order="left")
    may = (pl.col("age") < 2) & (pl.col("n") > 3)
    counted = placed.with_columns(rank=pl.when(may).then(pl.col("order")).rank("ordinal"))
    return counted["rank"].fill_null(log.height) <= SHARE * log.height


def figures(index: ItemIndex, users: list[str], targets: list[str]) -> dict[str, float]:
    """Recall and NDCG of lists for the histories that the index knows."""
    free = Constraints(allow_out_of_stock=True)
    histories = [index.history(user).model_copy(update={"constraints": free}) for user in users]
    retriever = open_retriever(index)
    found = np.full((len(users), max(KS)), -1, np.int32)
    for start in range(0, len(users), 256):
        for at, row in enumerate(
            retriever.retrieve(histories[start : start + 256], max(KS)), start
        ):
            found[at, : len(row)] = [index.row_of[candidate.item_id] for candidate in row]
    wanted = [index.find(item_id) for item_id in targets]
    ranks = ranks_of(found, np.array([-2 if row is None else row for row in wanted], np.int32))
    return {
        f"{name}@{k}": float(metric(ranks, k).mean())
        for k in KS
        for name, metric in (("recall", recall), ("ndcg", ndcg))
    }


def with_events(split: Split, out: Path) -> tuple[dict[str, ItemIndex], float]:
    """Record a tenth of the events live; return the indexes and the seconds a change took."""
    log = split.fit.interactions
    late = latest_of_some(log)
    part = out / "events"
    build(replace(split.fit, interactions=log.filter(~late)), part, out / "whole")
    live = LiveIndex.open(part)
    changes = [
        EventRecorded(user_id=user, event=Interaction(item_id=item_id))
        for user, item_id in log.filter(late).select("user_id", "item_id").iter_rows()
    ]
    started = time.perf_counter()
    LiveLog(part).append(changes)
    live.refresh()
    seconds = (time.perf_counter() - started) / len(changes)
    return {
        "as it was": ItemIndex.open(part),
        "live": live,
        "rebuilt": ItemIndex.open(out / "whole"),
    }, seconds


def with_items(split: Split, out: Path) -> tuple[dict[str, ItemIndex], float, frozenset[str]]:
    """Upsert a tenth of the items; return the indexes, the seconds an item took, and the items."""
    items, log = split.fit.items, split.fit.interactions
    ids = items["item_id"].shuffle(0)[: round(SHARE * items.height)]
    hidden = pl.col("item_id").is_in(ids.implode())
    without = replace(split.fit, interactions=log.filter(~hidden))
    build(replace(without, items=items.filter(~hidden)), out / "items", out / "whole")
    build(without, out / "cold", out / "whole")
    live = LiveIndex.open(out / "items")
    rows = items.filter(hidden).iter_rows(named=True)
    fresh = [Item.model_validate({**row, "brand": row["brand"] or None}) for row in rows]
    started = time.perf_counter()
    for item in fresh:
        live.upsert(item)
    seconds = (time.perf_counter() - started) / len(fresh)
    return {"live": live, "rebuilt": ItemIndex.open(out / "cold")}, seconds, frozenset(ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("events", "items"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("indexes/live"))
    asked = parser.parse_args()
    folder = asked.data / "beauty"
    files = {"items": folder / "items.jsonl", "interactions": folder / "sequences.txt"}
    split = leave_last_out(Dataset.load(**files, format="sequences"))
    build(split.fit, asked.out / "whole")
    if asked.what == "events":
        indexes, seconds = with_events(split, asked.out)
        chosen = {"all users": range(len(split.users))}
    else:
        indexes, seconds, new = with_items(split, asked.out)
        # users whose every event was of hidden items are unknown to these indexes
        known = [at for at, user in enumerate(split.users) if indexes["live"].has_user(user)]
        chosen = {
            "takers of new items": [at for at in known if split.inputs[at][-1] in new],
            "all users": known,
        }
    sys.stdout.write(f"{1e3 * seconds:.2f} ms a change\n")
    targets = [history[-1] for history in split.inputs]
    for name, index in indexes.items():
        for who, places in chosen.items():
            row = figures(index, [split.users[a] for a in places], [targets[a] for a in places])
            cells = ", ".join(f"{metric} {value:.4f}" for metric, value in row.items())
            sys.stdout.write(f"{name}, {who} ({len(places)}): {cells}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
