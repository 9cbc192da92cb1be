"""Reasons of the embedded model on users of the sample: verified, replaced, removed; latency.

python benchmarks/typed_reasons.py --users 100 --limit 20     # continues where it stopped
python benchmarks/typed_reasons.py --summary
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path

from rag_rec import Recommender, build_index, load_sample

FOLDER = Path(".cache/typed")
K = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--limit", type=int, default=1_000, help="users in this run at most")
    parser.add_argument("--prompt", default="benchmarks/typed_cited.toml")
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args()
    rows_file = FOLDER / f"reasons-{Path(options.prompt).stem}.jsonl"
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not options.summary:
        _run(options.prompt, options.users, options.limit, rows_file)
    _summary([json.loads(line) for line in rows_file.read_text().splitlines()])


def _run(prompt: str, n_users: int, limit: int, rows_file: Path) -> None:
    folder = FOLDER / "index"
    if not folder.exists():
        build_index(load_sample(), folder)
    done = rows_file.read_text().splitlines() if rows_file.exists() else []
    known = {json.loads(line)["user_id"] for line in done}
    with Recommender.open(folder, "local", prompt=prompt) as recommender:
        index = recommender.index
        users = [u for u in sorted(index.user_ids) if len(index.history(u).events) >= 3][:n_users]
        for user in [user for user in users if user not in known][:limit]:
            started = time.perf_counter()
            result = recommender.recommend(user, K)
            row = result.model_dump(mode="json") | {"wall_s": time.perf_counter() - started}
            with rows_file.open("a") as handle:
                handle.write(json.dumps(row) + "\n")


def _summary(rows: list[dict]) -> None:
    slots = [slot for row in rows for slot in row["items"]]
    status = Counter(slot["reason_status"] for slot in slots)
    print(f"{len(rows)} users, {len(slots)} slots, k = {K}, {os.cpu_count()} cores")
    for name, n in status.most_common():
        print(f"{name:<12}{n:>6}{n / len(slots):>8.1%}")
    print("outcomes    ", dict(Counter(row["outcome"] for row in rows)))
    poor = sum(row["repairs"]["poor_reason"] for row in rows)
    refuted = sum(row["repairs"]["refuted_reason"] for row in rows)
    written = refuted + status["verified"] + status["unverified"]
    print(f"written by the model: {written + poor}; poor {poor}, refuted {refuted}")
    seconds = [row["wall_s"] for row in rows]
    print(
        f"seconds a user: median {statistics.median(seconds):.1f}, "
        f"90th percentile {statistics.quantiles(seconds, n=10)[-1]:.1f}"
    )
    for slot in [s for s in slots if s["reason_status"] == "verified"][:: max(len(rows) // 8, 1)]:
        print("  ok:", slot["title"][:40], "|", slot["reason"])


if __name__ == "__main__":
    main()
