"""Growth of time and memory of every entrance of outside text with the size of what comes in.

    python benchmarks/entrances.py [ENTRANCE ...]

Prints seconds and MiB at three sizes, and the exponents of both: the slope of a line through the
points on logarithmic scales. 1 is linear; `main` fails if one is above 1.2.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from rag_rec import Dataset, RagRecError, where
from rag_rec.batch.users import read_users
from rag_rec.core import prompt_safe, without_thoughts
from rag_rec.grounding import read_answer
from rag_rec.llm import read_body
from rag_rec.requests import Names, by_keywords, read_request, request_for
from rag_rec.testing import completion

SIZES = (25_000, 50_000, 100_000)
ROWS = (4_000, 8_000, 16_000)
LEAST_S, LEAST_MIB = 0.01, 0.5
"""Below this at the largest size, no exponent is worth printing."""

NAMES = Names([f"Category {n} things" for n in range(300)] + ["Tea"], ["Acme"])
PARTS = {
    "words": "tea things ",
    "one number": "1",
    "numbers": "1,",
    "prices": "under 20 and above 30 ",
    "not": "not tea ",
    "tags": "<a ",
    "scripts": "<script",
    "entities": "&amp;",
    "quotes": '"',
    "open brackets": "[",
    "objects": '{"a":',
    "thoughts": "<think>",
    "hidden": "\u200d\ufe0f",
}


def of_text(read: Callable[[str], object]) -> Callable[[str, int, Path], object]:
    return lambda part, n, _: read((part * n)[:n])


def catalog(part: str, n: int, folder: Path) -> object:
    """Read a catalog of rows whose every text is one part, repeated a little."""
    text = part * 8
    rows = ({"item_id": f"i{i}", "title": text, "categories": text} for i in range(n))
    path = folder / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset.load(items=path)


def nested_log(part: str, n: int, folder: Path) -> object:
    """Read a log in which every row has keys of its own, and needs the careful reader."""
    rows = (
        {
            "user_id": f"u{i}",
            "item_id": f"i{i % 40}",
            "meta": {f"{part}{i}": i},
            f"{part}{i}": "\ud800",
        }
        for i in range(n)
    )
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset.load(interactions=path)


def users(part: str, n: int, folder: Path) -> object:
    """Read a user file in which every row has keys of its own."""
    path = folder / "users.jsonl"
    rows = ({"user_id": f"u{i}", f"{part}{i}": i, "profile": part * 8} for i in range(n))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return sum(1 for _ in read_users(path))


ENTRANCES: dict[str, Callable[[str, int, Path], object]] = {
    "text of a prompt": of_text(prompt_safe),
    "request, by rules": of_text(lambda text: by_keywords(text, NAMES)),
    "request, to the model": of_text(lambda text: request_for(text, NAMES)),
    "request, the model's form": of_text(
        lambda text: read_request(text, json.dumps({"query": text, "max_price": 20}), NAMES)
    ),
    "constraints": of_text(where),
    "reply": of_text(lambda text: read_answer(text, n_labels=20, k=10)),
    "reply without thoughts": of_text(without_thoughts),
    "body of a reply": of_text(lambda text: read_body(completion(text), "server")),
    "catalog": catalog,
    "log, nested keys": nested_log,
    "user file": users,
}


def measured(call: Callable[[], object], *, memory: bool) -> float:
    """Return the seconds of a call, or its peak of memory in MiB."""
    if memory:
        tracemalloc.start()
    started = time.process_time()
    with suppress(RagRecError, ValueError):
        call()
    seconds = time.process_time() - started
    if not memory:
        return seconds
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak


def growth(read: Callable[[str, int, Path], object], part: str, sizes: tuple[int, ...]) -> str:
    """Return a line of the table; a star marks an exponent above 1.2."""
    cells: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for memory, least in ((False, LEAST_S), (True, LEAST_MIB)):
            found = [
                min(
                    measured(lambda n=n: read(part, n, Path(folder)), memory=memory)
                    for _ in range(1 if memory else 2)
                )
                for n in sizes
            ]
            slope = np.polyfit(np.log(sizes), np.log(np.maximum(found, 1e-9)), 1)[0]
            shown = f"{slope:.2f}" if found[-1] >= least else "-"
            star = "*" if found[-1] >= least and slope > 1.2 else ""
            cells.append(f"{found[0]:.3f} | {found[-1]:.3f} | {shown}{star}")
    return " | ".join(cells)


def main() -> None:
    """Print the table, of all entrances or those that are named."""
    named = sys.argv[1:] or ENTRANCES
    print("| entrance | of | s, small | s, large | exponent | MiB, small | large | exponent |")
    print("|---|---|---|---|---|---|---|---|")
    too_steep = 0
    for name, read in ((name, ENTRANCES[name]) for name in named):
        by_rows = read in {catalog, nested_log, users}
        for kind, part in PARTS.items():
            line = growth(read, part, ROWS if by_rows else SIZES)
            too_steep += line.count("*")
            print(f"| {name} | {kind} | {line} |", flush=True)
    print(f"\n{too_steep} exponents above 1.2")
    sys.exit(too_steep > 0)


if __name__ == "__main__":
    main()
