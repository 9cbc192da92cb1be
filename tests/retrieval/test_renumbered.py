"""A log without texts whose items are numbered by first appearance, and renumbered at random."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_rec import Dataset, ItemIndex, build_index
from rag_rec.evaluation import RetrievalOptions, evaluate_retrieval
from rag_rec.retrieval import SOURCES, RankerConfig, RetrievalConfig
from rag_rec.retrieval.matrices import load_array
from rag_rec.testing import HashEmbedder

N_ITEMS, N_USERS = 60, 150
RANKER = RankerConfig(min_lists=20, rounds=10, min_leaf=5, depth=20)
OF_TEXTS = {"content", "content_smoothed", "reviews"}
UNUSED = {"popular"}
CONFIGS = [RetrievalConfig.within(6, ranker=False), RetrievalConfig(ranker=RANKER)]


def log_of(path: Path, *, seed: int | None = None) -> Dataset:
    """Return users who walk along a ring of items; every item is taken early in a history."""
    rng = random.Random(1)
    rows = []
    for user in range(N_USERS):
        at = user * N_ITEMS // N_USERS
        rows.append([(at + step) % N_ITEMS for step in range(4)])
        for _ in range(rng.randrange(3, 7)):
            rows[-1].append((rows[-1][-1] + rng.choice([1, 1, 2, 30])) % N_ITEMS)
    first = list(dict.fromkeys(item for row in rows for item in row))
    numbers = list(range(N_ITEMS))
    if seed is not None:
        random.Random(seed).shuffle(numbers)
    name = dict(zip(first, numbers, strict=True))
    lines = [
        f"u{user} " + " ".join(str(name[item]) for item in row) for user, row in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return Dataset.load(interactions=path, format="sequences")


@pytest.mark.parametrize("config", CONFIGS, ids=["weights", "ranker"])
def test_renumbered_items_leave_every_figure_as_it_is(
    tmp_path: Path, config: RetrievalConfig
) -> None:
    options = RetrievalOptions(ks=(5, 10), embedder=HashEmbedder(), retrieval=config)
    reports: list[dict[str, Any]] = [
        evaluate_retrieval(log_of(tmp_path / "log.txt", seed=seed), options) for seed in (None, 1)
    ]
    names = [row["name"] for row in reports[0]["rows"]]
    assert {"fusion", "slit", "ease", "popularity"} <= set(names)
    assert not OF_TEXTS & set(names), "nothing is known of items"
    for report in reports[1:]:
        assert report["rows"] == reports[0]["rows"]


def test_every_matrix_is_the_same_in_the_same_rows(tmp_path: Path) -> None:
    found = []
    for seed in (None, 1):
        folder = tmp_path / f"index-{seed}"
        data = log_of(tmp_path / "log.txt", seed=seed)
        build_index(data, folder, embedder=HashEmbedder(), retrieval=CONFIGS[0])
        found.append(ItemIndex.open(folder, HashEmbedder()))
    one, other = found
    assert one.item_ids != other.item_ids
    assert [int(item_id) for item_id in one.item_ids] != sorted(map(int, one.item_ids))
    for index in found:
        assert not index.item_vectors.any()
        assert index.store.count("items") == 0
    for name in (*(source.name for source in SOURCES), "popularity"):
        there, moved = (load_array(index.folder / "evidence", name) for index in found)
        if isinstance(there, np.ndarray):
            assert np.array_equal(there, moved)
        else:
            assert (there != moved).nnz == 0, name
            assert (there.nnz == 0) == (name in OF_TEXTS | UNUSED), name
    for index in found:
        index.close()
