"""Peak memory of index building for growing numbers of reviews, each in a process of its own.

The hash embedder stands in for the model, so that what grows is ours and Chroma's. Expected: the
only growth is the graph that Chroma keeps in memory, about two kilobytes a review at dimension 384.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from rag_rec import Dataset, build_index
from rag_rec.testing import HashEmbedder

SIZES = (1_000, 10_000, 50_000, 100_000)
DIMENSION = 384


def write(folder: Path, n_reviews: int) -> tuple[Path, Path]:
    items, reviews = folder / "items.jsonl", folder / "reviews.jsonl"
    items.write_text(
        "\n".join(json.dumps({"item_id": f"i{n}", "title": f"item {n}"}) for n in range(500))
    )
    with reviews.open("w") as out:
        for n in range(n_reviews):
            text = f"review {n} says that number {n % 977} is better than number {n % 641} " * 4
            out.write(
                json.dumps({"item_id": f"i{n % 500}", "user_id": f"u{n % 999}", "text": text})
                + "\n"
            )
    return items, reviews


def child(items: str, reviews: str, out: str) -> None:
    build_index(Dataset.load(items=items, reviews=reviews), out, embedder=HashEmbedder(DIMENSION))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    if len(sys.argv) > 1:
        child(*sys.argv[1:])
        return
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            items, reviews = write(Path(folder), size)
            command = [sys.executable, __file__, str(items), str(reviews), f"{folder}/index"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"{size:>7} reviews: peak {float(done.stdout):.0f} MiB ({os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
