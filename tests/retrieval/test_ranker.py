"""The ranker learns what the sum cannot say, the same again, and keeps the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rag_rec import Dataset, ItemIndex, UserHistory, build_index
from rag_rec.evaluation import RetrievalOptions, evaluate_retrieval
from rag_rec.retrieval import (
    Diagnostics,
    RankerConfig,
    RetrievalConfig,
    SearchConfig,
    open_retriever,
)
from rag_rec.testing import HashEmbedder, check_retriever


def planted(folder: Path, n_users: int = 400) -> Dataset:
    """Users alternate between two shelves, so what comes next is never like what came last.

    The fixed sum, which looks at what is near, ranks the wrong shelf first.
    """
    rng = np.random.default_rng(5)
    lines = ["user_id,item_id"]
    for user in range(n_users):
        taken = [f"i{shelf * 30 + rng.integers(30)}" for shelf in [user % 2, 1 - user % 2] * 4]
        lines += [f"u{user},{item}" for item in dict.fromkeys(taken)]
    log = folder / "log.csv"
    log.write_text("\n".join(lines))
    items = folder / "items.csv"
    words = ("red wool scarf", "steel kitchen knife")
    items.write_text(
        "item_id,title\n" + "\n".join(f"i{at},{words[at // 30]} {at}" for at in range(60))
    )
    return Dataset.load(items=items, interactions=log)


def test_the_ranker_learns_what_was_planted_and_does_so_again(tmp_path: Path) -> None:
    data = planted(tmp_path)
    config = RankerConfig(min_lists=50, rounds=30, min_leaf=20)
    options = RetrievalOptions(
        retrieval=RetrievalConfig(ranker=config, search=SearchConfig(enabled=False)),
        embedder=HashEmbedder(),
        ks=(10,),
    )
    first, second = (evaluate_retrieval(data, options) for _ in range(2))
    assert first["fusion"] == "ranker"
    assert first["rows"] == second["rows"]
    rows = {row["name"]: row["ndcg@10"] for row in first["rows"]}
    assert rows["fusion"] > 1.2 * rows["weighted sum"]


def test_with_the_ranker_the_contract_holds(tmp_path: Path) -> None:
    retrieval = RetrievalConfig(
        ranker=RankerConfig(min_lists=50, rounds=10, min_leaf=20, depth=20),
        search=SearchConfig(enabled=False),
    )
    folder = tmp_path / "index"
    build_index(planted(tmp_path), folder, embedder=HashEmbedder(), retrieval=retrieval)
    index = ItemIndex.open(folder, HashEmbedder())
    retriever = open_retriever(index)
    assert index.manifest.retrieval["fusion"] == "ranker"
    users = [index.history(user) for user in sorted(index.user_ids)[:20]]
    check_retriever(retriever, index, [*users, UserHistory(), UserHistory(profile="wool")])
    pairs = zip(retriever.retrieve(users, 30), Diagnostics(index).ranked(users, 30), strict=True)
    for candidates, (items, scores) in pairs:
        assert [c.item_id for c in candidates] == [index.item_ids[ix] for ix in items]
        assert (np.diff(scores) <= 0).all()
