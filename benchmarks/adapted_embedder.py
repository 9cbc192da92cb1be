"""A tuned embedder against its base: where items are hidden, and for everybody.

    python -m benchmarks.adapted_embedder beauty --data ../shared/data --out indexes/adapted
    python -m benchmarks.adapted_embedder industrial --data ../shared/data --out indexes/adapted

One command does the whole: it builds the index of the protocol (that of ``rag-rec evaluate
retrieval --hide-items``) with the default embedder, tunes that on this index's own log, builds the
index once more with the result, measures both, and writes ``DIR/NAME.json``. Hidden items have no
events in that log, so the embedder cannot have seen any. Run again, it goes on: indexes that are
there are opened, a finished model is taken as it is.

``vectors`` ranks by the sum of cosines with the items of the history, each counted less for every
event after it; ``content`` and the others are the sources of the fusion.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rag_rec import Dataset, ItemIndex, SentenceTransformerEmbedder
from rag_rec.adaptation import TuningOptions, adapt_embedder
from rag_rec.data import GivenFiles, Split, hide_items, leave_last_out, load_given
from rag_rec.evaluation import RetrievalOptions, evaluate_retrieval
from rag_rec.evaluation.metrics.accuracy import Ranks, ranks_of
from rag_rec.evaluation.rankings import histories_of
from rag_rec.evaluation.yardsticks.strata import figures, strata_of
from rag_rec.retrieval import Histories

KS, DECAY, BATCH = (10, 50), 2.0, 512
SHOWN = ("all users", "takers of hidden items", "target cold (not in the fit)")


def split_of(name: str, data: Path) -> tuple[Split, Dataset]:
    """Return the questions of a set, and its data."""
    folder = data / name
    if name == "beauty":
        files = {"items": folder / "items.jsonl", "interactions": folder / "sequences.txt"}
        dataset = Dataset.load(**files, format="sequences")
        return leave_last_out(dataset), dataset
    split = load_given(
        GivenFiles(
            validation=folder / "valid.csv.gz",
            test=folder / "test.csv.gz",
            items=folder / "items.json.gz",
        )
    )
    return split, split.fit


def vector_ranks(index: ItemIndex, split: Split) -> Ranks:
    """Rank every question's target by the vectors alone, items of the history put aside."""
    users = Histories.of_users(index, histories_of(split, mask_history=True))
    weights = users.weights(DECAY)
    targets = np.array([index.find(item_id) for item_id in split.targets])
    vectors, found = np.asarray(index.item_vectors), []
    for start in range(0, len(users), BATCH):
        rows = slice(start, start + BATCH)
        scores = np.asarray(weights[rows] @ vectors) @ vectors.T
        for at, row in enumerate(scores, start):
            row[users.row(at)] = -np.inf
        found.append(np.argsort(-scores, axis=1, kind="stable")[:, : max(KS)].astype(np.int32))
    return ranks_of(np.concatenate(found), targets.astype(np.int32))


def measured(
    data: Dataset, split: Split, options: RetrievalOptions, embedder: SentenceTransformerEmbedder
) -> dict[str, Any]:
    """Figures of the fusion, each source and the vectors, in the strata of `SHOWN`."""
    started = time.perf_counter()
    report = evaluate_retrieval(data, replace(options, embedder=embedder))
    index = ItemIndex.open(options.index or "", embedder)
    hidden = hide_items(split, options.hidden_items) if options.hidden_items else None
    strata = strata_of(
        replace(split, fit=hidden.fit) if hidden else split,
        set(hidden.targets) if hidden else None,
    )
    ranks = vector_ranks(index, split)
    rows = [{"source": "fusion", **row} for row in report["strata"]] + report["source_strata"]
    rows += [
        {"source": "vectors", **figures(name, ranks[members], KS)}
        for name, members in strata.items()
    ]
    index.close()
    return {
        "rows": [row for row in rows if row["name"] in SHOWN],
        "weights": report["weights"],
        "fusion": f"{report['fusion']} ({report['fusion_why']})",
        "new_bonus": report["new_bonus"],
        "seconds": round(time.perf_counter() - started),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=("beauty", "industrial"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("indexes/adapted"))
    parser.add_argument("--hide-items", type=float, default=0.1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    split, data = split_of(asked.name, asked.data)
    given = None if asked.name == "beauty" else split
    out = asked.out / asked.name
    options = RetrievalOptions(given=given, ks=KS, hidden_items=asked.hide_items)
    base = SentenceTransformerEmbedder()
    found = {"untuned": measured(data, split, replace(options, index=out / "untuned"), base)}
    index = ItemIndex.open(out / "untuned", base)
    wanted = TuningOptions(minutes=asked.minutes, seed=asked.seed)
    record = adapt_embedder(index, out / "model", wanted, on_step=_say)
    index.close()
    if record.gained:
        tuned = SentenceTransformerEmbedder(str(out / "model"))
        found["tuned"] = measured(data, split, replace(options, index=out / "tuned"), tuned)
    document = {"hidden": asked.hide_items, "adaptation": record.model_dump(), **found}
    path = asked.out / f"{asked.name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if not record.gained:
        sys.stdout.write("nothing gained on validation: no tuned embedder to measure\n")
    for which in found:
        for row in found[which]["rows"]:
            cells = " ".join(
                f"{m}@{k} {row[f'{m}@{k}']:.4f}" for k in KS for m in ("recall", "ndcg")
            )
            sys.stdout.write(f"{which}, {row['source']}, {row['name']}: {cells}\n")


def _say(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{what} {done}/{total}")


if __name__ == "__main__":
    main()
