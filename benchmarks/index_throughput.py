"""Index building against a bare ``SentenceTransformer.encode`` over the same texts, in one run.

Several rounds in turn, so that a change in the machine's speed hits both; the medians of the
ratios are what counts. Expected: the store and the fit cost under a tenth of the embedding.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl

from rag_rec import SentenceTransformerEmbedder, build_index, load_sample
from rag_rec.core.text import plain_text
from rag_rec.index import item_texts

ROUNDS = 5


def main() -> None:
    data = load_sample()
    reviews = pl.concat(data.reviews.frames())["text"]
    texts = item_texts(data.items) + [plain_text(text) for text in reviews]
    embedder = SentenceTransformerEmbedder()
    embedder.model.encode(texts[:64])  # loads and warms up
    ratios: list[float] = []
    for number in range(1, ROUNDS + 1):
        started = time.perf_counter()
        embedder.model.encode(texts, show_progress_bar=False)
        bare = time.perf_counter() - started
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            build_index(data, Path(folder) / "index", embedder=embedder)
            whole = time.perf_counter() - started
        ratios.append(bare / whole)
        print(
            f"round {number}: encode {len(texts) / bare:.0f} texts/s, "
            f"index {len(texts) / whole:.0f} texts/s, ratio {bare / whole:.2f}"
        )
    print(
        f"index building reaches {statistics.median(ratios):.2f} of bare encode "
        f"(median of {ROUNDS}, {len(texts)} texts, {os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()
