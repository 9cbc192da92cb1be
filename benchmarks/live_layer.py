"""What the live layer costs: seconds until a change counts, changes a second, memory, p99.

    python -m benchmarks.live_layer --index DIR [--events 100000]

Works on a copy of the index, retrieval only. An event: from `Recommender.record` to the end of
that user's next list. A new item: from `Recommender.upsert`, its text embedded, to a list of a
second recommender that holds it. The layer's own cost: the same lists before and after so many
events of users drawn from the log, with the memory of the process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rag_rec import Interaction, Recommender
from rag_rec.index import LiveLog
from rag_rec.index.live.changes import EventRecorded

ROUNDS, LISTS, BATCH = 50, 400, 1_000


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def spread(name: str, seconds: list[float]) -> None:
    p50, p99 = 1e3 * np.quantile(seconds, (0.5, 0.99))
    say(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms ({len(seconds)} times)")


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def lists(rec: Recommender, users: list[str]) -> list[float]:
    found = []
    for user in users:
        started = time.perf_counter()
        rec.recommend(user)
        found.append(time.perf_counter() - started)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--events", type=int, default=100_000)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=asked.index.parent) as scratch:
        folder = Path(scratch) / "index"
        shutil.copytree(asked.index, folder, ignore=shutil.ignore_patterns("live.sqlite*"))
        rec, other = (Recommender.open(folder, "none") for _ in range(2))
        index = rec.index
        say(f"{os.cpu_count()} cores; {index.n_built:,} items, {len(index.user_ids):,} users")
        users = [str(u) for u in rng.choice(index.user_ids, LISTS)]
        items = [str(i) for i in rng.choice(index.item_ids[: index.n_built], LISTS)]
        lists(rec, users[:50])
        index.embedder.embed(["loaded before the clock starts"])
        recorded, listed, placed, found_by = [], [], [], 0
        for user, item_id in zip(users[:ROUNDS], items, strict=False):
            started = time.perf_counter()
            rec.record(user, item_id)
            recorded.append(time.perf_counter() - started)
            rec.recommend(user)
            listed.append(time.perf_counter() - started)
        for n, item_id in enumerate(items[:ROUNDS]):
            item = index.item_by_id(item_id)
            fresh = item.model_copy(update={"item_id": f"new-{n}", "title": f"{item.title} {n}"})
            started = time.perf_counter()
            rec.upsert(fresh)
            names = {i.item_id for i in other.recommend([item_id], 50).items}
            placed.append(time.perf_counter() - started)
            found_by += fresh.item_id in names
        spread("record", recorded)
        spread("record and the next list", listed)
        spread("new item, to another recommender's list", placed)
        say(f"new items found from their likeness: {found_by} of {ROUNDS}")
        before, rss = lists(rec, users), resident()
        log, n = LiveLog(folder), 0
        taken = [index.item_ids[row] for row in rng.integers(0, index.n_built, asked.events)]
        by = [str(u) for u in rng.choice(index.user_ids, asked.events)]
        changes = [
            EventRecorded(user_id=u, event=Interaction(item_id=i, timestamp=2_000_000_000 + at))
            for at, (u, i) in enumerate(zip(by, taken, strict=True))
        ]
        started = time.perf_counter()
        for start in range(500):
            n += log.append(changes[start : start + 1])
        say(f"written one by one: {n / (time.perf_counter() - started):,.0f} events/s")
        started = time.perf_counter()
        for start in range(500, len(changes), BATCH):
            log.append(changes[start : start + BATCH])
        rate = (len(changes) - 500) / (time.perf_counter() - started)
        say(f"written by the thousand: {rate:,.0f} events/s")
        started = time.perf_counter()
        index.refresh()
        say(f"taken up: {len(changes) / (time.perf_counter() - started):,.0f} events/s")
        after = lists(rec, users)
        spread("lists before", before)
        spread(f"lists with {asked.events:,} live events", after)
        grown = (resident() - rss) / 2**20
        size = sum(path.stat().st_size for path in folder.glob("live.sqlite*")) / 2**20
        say(f"memory: {grown:.0f} MiB more; on disk {size:.0f} MiB")
        rec.close()
        other.close()


if __name__ == "__main__":
    main()
