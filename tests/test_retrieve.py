"""Retrieval: the contract, and the relations planted in the sample are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from rag_rec import Constraints, FusedRetriever, ItemIndex, UserHistory
from rag_rec.dataset.bundled import SAMPLE_FOLDER
from rag_rec.retrieve import review_quotes, strongest_links
from rag_rec.retrieve.matrices import cosine_neighbours, keep_strongest
from rag_rec.testing import check_retriever

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
    assert [candidate.sources for candidate in found] == [{"popular": n} for n in _ranks(found)]
    assert _ranks(found) == sorted(_ranks(found))


def _ranks(found: list) -> list[int]:
    return [candidate.sources["popular"] for candidate in found]


def test_ranks_are_those_of_each_source_alone(retriever: FusedRetriever) -> None:
    index = retriever.index
    history = index.history(sorted(index.user_ids)[5])
    weights = retriever.history_weights([history])
    blocked = ~index.in_stock
    blocked[[index.find(i) for i in history.item_ids]] = True
    candidates = retriever.retrieve([history], 20)[0]
    for name in retriever.evidence.names:
        matrix = retriever.evidence.matrix(name)
        row = (weights @ matrix).toarray()[0]
        row[blocked] = 0
        for candidate in candidates:
            value = row[index.find(candidate.item_id)]
            expected = 1 + int((row > value).sum()) if value > 0 else None
            assert candidate.sources.get(name) == expected
    total = (weights @ retriever.evidence.fused).toarray()[0]
    total[blocked] = 0
    best = np.sort(total)[::-1][:20]
    assert [candidate.score for candidate in candidates] == pytest.approx(best, rel=1e-5)


def test_the_strongest_link_names_an_item_of_the_history(retriever: FusedRetriever) -> None:
    history = UserHistory.of("tea-009")
    found = [c.item_id for c in retriever.retrieve([history], 5)[0]]
    title = retriever.index.item_by_id("tea-009").title
    links = strongest_links(retriever, history, found)
    assert list(links) == found
    assert all(title in link.text for link in links.values())
    cold = strongest_links(retriever, UserHistory(), found)
    assert {link.text for link in cold.values()} == {"Popular with other users."}


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


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_keeping_the_strongest_is_exact(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(12, 12)) * (rng.random((12, 12)) < 0.6)
    kept = keep_strongest(sparse.csr_array(dense), n).toarray()
    wanted = np.where(dense > 0, dense, 0)
    np.fill_diagonal(wanted, 0)
    for row, expected in zip(kept, wanted, strict=True):
        assert np.sort(row)[::-1][:n] == pytest.approx(np.sort(expected)[::-1][:n], rel=1e-6)
        assert (row > 0).sum() == min(n, (expected > 0).sum())


def test_neighbours_are_the_nearest_and_never_the_item_itself() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(700, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[5] = 0
    matrix = cosine_neighbours(vectors, 10).toarray()
    exact = np.maximum(vectors @ vectors.T, 0)
    np.fill_diagonal(exact, 0)
    assert matrix.diagonal().sum() == 0
    assert matrix[5].sum() == 0
    assert np.allclose(np.sort(matrix)[:, -10:], np.sort(exact)[:, -10:], atol=1e-5)


def test_an_index_without_a_log_or_reviews_still_retrieves(tmp_path: Path) -> None:
    from rag_rec import Dataset, build_index  # noqa: PLC0415
    from rag_rec.testing import HashEmbedder  # noqa: PLC0415

    items = tmp_path / "items.csv"
    items.write_text("item_id,title\na,green tea\nb,black tea\nc,walking boots\n")
    build_index(Dataset.load(items=items), tmp_path / "index", embedder=HashEmbedder())
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    check_retriever(
        FusedRetriever(index),
        index,
        [UserHistory(), UserHistory.of("a"), UserHistory(profile="boots")],
    )
