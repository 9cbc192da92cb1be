"""Retrieval: the contract, and the relations planted in the sample are found."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rag_rec import (
    Constraints,
    Dataset,
    ItemIndex,
    Recommender,
    UserHistory,
    build_index,
)
from rag_rec.data import SAMPLE_FOLDER
from rag_rec.retrieval import review_quotes
from rag_rec.retrieval.fusion.retriever import FusedRetriever
from rag_rec.testing import HashEmbedder, check_retriever

PLANTED = json.loads((SAMPLE_FOLDER / "planted.json").read_text())


@pytest.fixture(scope="module")
def retriever(real_index: ItemIndex) -> FusedRetriever:
    return FusedRetriever(real_index)


def users_of(index: ItemIndex) -> list[UserHistory]:
    ids = sorted(index.user_ids)
    some = [index.history(user) for user in ids[:60]]
    excluded = Constraints(exclude=frozenset(index.item_ids[::2]))
    return [
        *some,
        *(history.model_copy(update={"constraints": excluded}) for history in some[:10]),
        some[0].model_copy(
            update={"constraints": Constraints(allow_seen=True, allow_out_of_stock=True)}
        ),
        UserHistory(),
        UserHistory(profile="slow science fiction"),
        UserHistory.of("tea-001", "tea-001"),
    ]


def test_the_contract(retriever: FusedRetriever) -> None:
    check_retriever(retriever, retriever.index, users_of(retriever.index))


def test_what_was_planted_as_bought_after_is_found(retriever: FusedRetriever) -> None:
    pairs = [pair for pair in PLANTED["bought_after"] if pair["observed"] >= 5]
    assert len(pairs) > 60
    found = 0
    for pair in pairs:
        candidates = retriever.retrieve([UserHistory.of(pair["first"])], 10)[0]
        found += pair["second"] in {candidate.item_id for candidate in candidates}
    assert found / len(pairs) > 0.8


def test_a_cold_item_is_found_through_its_text(retriever: FusedRetriever) -> None:
    index = retriever.index
    hits = 0
    for item_id in PLANTED["cold_items"]:
        item = index.item_by_id(item_id)
        words = UserHistory(profile=f"{item.title}. {item.description}")
        hits += item_id in {c.item_id for c in retriever.retrieve([words], 5)[0]}
    assert hits >= 0.9 * len(PLANTED["cold_items"])


def test_plain_words_reach_the_right_shelf(retriever: FusedRetriever) -> None:
    found = retriever.retrieve([UserHistory(profile="a green tea from Japan")], 5)[0]
    shelves = [retriever.index.item_by_id(c.item_id).categories[1] for c in found]
    assert shelves.count("Tea") >= 3
    assert all("profile" in candidate.sources for candidate in found)


def test_without_anything_known_the_popular_come_first(retriever: FusedRetriever) -> None:
    found = retriever.retrieve([UserHistory()], 10)[0]
    assert [candidate.sources for candidate in found] == [{"popularity": n} for n in _ranks(found)]
    assert _ranks(found) == sorted(_ranks(found))


def _ranks(found: list) -> list[int]:
    return [candidate.sources["popularity"] for candidate in found]


def test_ranks_are_those_of_each_source_alone(retriever: FusedRetriever) -> None:
    index = retriever.index
    history = index.history(sorted(index.user_ids)[5])
    weights = retriever.history_weights([history])
    blocked = ~index.items["in_stock"].to_numpy()
    blocked[[index.find(i) for i in history.item_ids]] = True
    candidates = retriever.retrieve([history], 20)[0]
    for name in retriever.sources.names:
        matrix = retriever.sources.matrix(name)
        row = (weights @ matrix).toarray()[0]
        row[blocked] = 0
        for candidate in candidates:
            value = row[index.find(candidate.item_id)]
            expected = 1 + int((row > value).sum()) if value > 0 else None
            assert candidate.sources.get(name) == expected
    total = (weights @ retriever.sources.fused).toarray()[0]
    total[blocked] = 0
    best = np.sort(total)[::-1][:20]
    assert [candidate.score for candidate in candidates] == pytest.approx(best, rel=1e-5)


def test_the_strongest_link_names_an_item_of_the_history(retriever: FusedRetriever) -> None:
    history = UserHistory.of("tea-009")
    found = [c.item_id for c in retriever.retrieve([history], 5)[0]]
    title = retriever.index.item_by_id("tea-009").title
    links = retriever.explain(history, [*found, "no-such-item"])
    assert set(links) == set(found)
    assert all(title in link.text and link.kind == "history" for link in links.values())
    assert all(link.item_id == item_id for item_id, link in links.items())
    assert links[found[0]].similarity > 0
    assert retriever.explain(UserHistory(), found) == retriever.explain(history, []) == {}


def test_items_without_a_link_say_why_they_are_listed(tmp_path: Path) -> None:
    rows = "item_id,title\na,Green tea\nb,Black tea\n"
    (tmp_path / "items.csv").write_text(rows)
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nu,a,1\n")
    data = Dataset.load(items=tmp_path / "items.csv", interactions=tmp_path / "log.csv")
    build_index(data, tmp_path / "index", embedder=HashEmbedder())
    opened = Recommender(ItemIndex.open(tmp_path / "index", HashEmbedder()))
    slots = opened.recommend([], 2).items
    words = opened.recommend([], 2, profile="black tea").items
    opened.index.close()
    texts = [slot.reason for slot in slots]
    assert texts == ["Popular with other users.", "New in the catalog."]
    assert {slot.reason for slot in words} == {"Close to what was asked for."}


def test_quotes_are_reviews_of_that_item(retriever: FusedRetriever) -> None:
    index = retriever.index
    histories = [index.history(user) for user in sorted(index.user_ids)[:5]] + [UserHistory()]
    candidates = retriever.retrieve(histories, 8)
    quotes = review_quotes(index, histories, candidates, 2)
    for shown, user in zip(candidates, quotes, strict=True):
        assert set(user) <= {candidate.item_id for candidate in shown}
        for item_id, found in user.items():
            texts = index.review_texts(list(index.reviews_of(index.find(item_id) or 0)))
            assert [e.text for e in found] == [t for t in (e.text for e in found) if t in texts]
            assert 1 <= len(found) <= 2
            assert [e.similarity for e in found] == sorted(
                (e.similarity for e in found), reverse=True
            )
    assert review_quotes(index, histories, candidates, 0) == [{}] * len(histories)


def test_an_index_without_a_log_or_reviews_still_retrieves(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\na,green tea\nb,black tea\nc,walking boots\n")
    build_index(Dataset.load(items=items), tmp_path / "index", embedder=HashEmbedder())
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    check_retriever(
        FusedRetriever(index),
        index,
        [UserHistory(), UserHistory.of("a"), UserHistory(profile="boots")],
    )


def test_the_manifest_says_what_was_used_and_why(hash_index: ItemIndex) -> None:
    retrieval = hash_index.manifest.retrieval
    assert retrieval["fusion"] == "learned weights"
    assert "a ranker needs 1000" in retrieval["fusion_why"]
    assert retrieval["solve"] == "dense"
    assert "6 GiB" in retrieval["solve_why"]


def test_items_of_the_history_may_be_listed_again_when_allowed(retriever: FusedRetriever) -> None:
    history = UserHistory.of("tea-009", "tea-010")
    again = history.model_copy(update={"constraints": Constraints(allow_seen=True)})
    found = retriever.retrieve([again], retriever.index.n_items)[0]
    assert {"tea-009", "tea-010"} <= {c.item_id for c in found}
    # where nobody takes an item twice, as in the sample, what was had comes last, by popularity
    assert retriever.index.manifest.retrieval["replay"] < 0
    assert not any("history" in c.sources for c in found)
    scores = {c.item_id: c.score for c in found}
    others = [score for item, score in scores.items() if item not in history.item_ids]
    assert max(scores["tea-009"], scores["tea-010"]) < np.median(others)


def test_where_people_come_back_the_history_is_a_source(sample: Dataset, tmp_path: Path) -> None:
    log = sample.interactions
    twice = pl.concat([log, log.group_by("user_id", maintain_order=True).tail(1)]).sort(
        "user_id", maintain_order=True
    )
    build_index(replace(sample, interactions=twice), tmp_path / "index", embedder=HashEmbedder())
    retriever = FusedRetriever(ItemIndex.open(tmp_path / "index", HashEmbedder()))
    assert retriever.index.manifest.retrieval["replay"] > 0
    again = UserHistory.of("tea-009", "tea-010").model_copy(
        update={"constraints": Constraints(allow_seen=True)}
    )
    first = retriever.retrieve([again], 5)[0]
    assert "history" in next(c for c in first if c.item_id == "tea-010").sources


def test_it_may_be_called_from_several_threads(retriever: FusedRetriever) -> None:
    users = users_of(retriever.index)
    alone = [retriever.retrieve([user], 10)[0] for user in users]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda user: retriever.retrieve([user], 10)[0], users * 3))
    assert together == alone * 3
