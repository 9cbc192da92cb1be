"""What is understood of 60 written requests, against what each was written to ask for.

python benchmarks/typed_requests.py --llm none
python benchmarks/typed_requests.py --llm local --limit 20    # continues where it stopped
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from rag_rec import Constraints, Recommender, UserHistory, build_index, describe, load_sample, where
from rag_rec.requests import with_request
from rag_rec.testing import check_list

FOLDER = Path(".cache/typed")
REQUESTS = Path("tests/requests/requests.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llm", default="none")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    rows_file = FOLDER / f"requests-{options.llm}.jsonl"
    if options.llm == "none":
        rows_file.unlink(missing_ok=True)
    folder = FOLDER / "index"
    if not folder.exists():
        build_index(load_sample(), folder)
    wanted = [json.loads(line) for line in REQUESTS.read_text().splitlines()]
    done = rows_file.read_text().splitlines() if rows_file.exists() else []
    known = {json.loads(line)["request"] for line in done}
    with (
        Recommender.open(folder, options.llm) as reader,
        Recommender.open(folder, "none") as lister,
    ):
        for row in [row for row in wanted if row["request"] not in known][: options.limit]:
            understood = reader.understand(row["request"])
            history = with_request(UserHistory(), understood)
            check_list(lister.recommend(history, 5), lister.index, history, 5)
            document = understood.model_dump(mode="json") | {
                "text": describe(understood.constraints)
            }
            with rows_file.open("a") as handle:
                handle.write(json.dumps(document | {"request": row["request"]}) + "\n")
    found = {r["request"]: r for r in map(json.loads, rows_file.read_text().splitlines())}
    _summary([row for row in wanted if row["request"] in found], found, options)


def _summary(rows: list[dict], found: dict[str, dict], options: argparse.Namespace) -> None:
    exact = [row for row in rows if _same(row["where"], found[row["request"]]["text"])]
    print(f"{options.llm}: {len(rows)} requests, {os.cpu_count()} cores")
    print(f"exact match {len(exact)} ({len(exact) / len(rows):.1%})")
    how = [found[row["request"]]["how"] for row in rows]
    print("read by", {name: how.count(name) for name in set(how)})
    for name, part in (("with a price", "price"), ("with a category", "category")):
        some = [row for row in rows if part in row["where"]]
        hits = sum(row in exact for row in some)
        print(f"  {name}: {hits} of {len(some)}")
    some = [row for row in rows if not row["where"]]
    print(f"  asking for nothing: {sum(row in exact for row in some)} of {len(some)}")
    print("no list broke a constraint (checked by rag_rec.testing.check_list)")
    if options.misses:
        for row in rows:
            if row not in exact:
                print(
                    "-",
                    row["request"],
                    "| wanted",
                    row["where"],
                    "| got",
                    found[row["request"]]["text"],
                )


def _same(one: str, other: str) -> bool:
    return _folded(one) == _folded(other)


def _folded(text: str) -> dict[str, object]:
    asked = where(text) if text else Constraints()
    names = asked.model_dump()
    for field in ("categories", "all_categories", "not_categories", "brands", "not_brands"):
        names[field] = frozenset(name.casefold() for name in names[field])
    return names


if __name__ == "__main__":
    main()
