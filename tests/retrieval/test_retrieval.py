"""Retrieval: the contract, and the relations planted in the sample are found."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from rag_rec import (
    Constraints,
    Dataset,
    FusedRetriever,
    ItemIndex,
    Recommender,
    UserHistory,
    build_index,
)
from rag_rec.data import SAMPLE_FOLDER
from rag_rec.retrieval import (
    FitData,
    Histories,
    RankerConfig,
    RetrievalConfig,
    review_quotes,
)
from rag_rec.retrieval.budget import Budget
from rag_rec.retrieval.item_item.content_smoothed import Smoothed
from rag_rec.retrieval.item_item.cooccurrence import Cooccurrence
from rag_rec.retrieval.item_item.ease import Symmetric
from rag_rec.retrieval.item_item.slit import Sequential
from rag_rec.retrieval.matrices import deviation, keep_strongest
from rag_rec.retrieval.neighbours import cosine_neighbours
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
    assert texts == ["Popular with other users.", "Nobody has taken it yet."]
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
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\na,green tea\nb,black tea\nc,walking boots\n")
    build_index(Dataset.load(items=items), tmp_path / "index", embedder=HashEmbedder())
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    check_retriever(
        FusedRetriever(index),
        index,
        [UserHistory(), UserHistory.of("a"), UserHistory(profile="boots")],
    )


# --- the closed forms against the formulas they come from ------------------------------------

ROWS = [[0, 1, 2, 3], [1, 2, 4], [0, 2, 1], [3], [4, 0, 1, 2, 3, 1]]


def fit_data(rows: list[list[int]], n_items: int = 6) -> FitData:
    log = Histories.of(rows, n_items)
    return FitData(
        log=log,
        times=np.full(len(log.items), np.nan),
        texts=[""] * n_items,
        titles=[""] * n_items,
        attributes=[()] * n_items,
        item_vectors=np.zeros((n_items, 4), np.float32),
        review_vectors=np.zeros((0, 4), np.float32),
        review_items=np.zeros(0, np.int32),
        review_users=np.zeros(0, np.int32),
    )


def test_what_is_put_aside_to_learn_from_takes_its_reviews_along() -> None:
    data = replace(
        fit_data([[0, 1, 2], [2, 3]]),
        review_vectors=np.zeros((5, 4), np.float32),
        review_items=np.array([1, 2, 2, 2, 3], np.int32),
        review_users=np.array([0, 0, 1, -1, 1], np.int32),
    )
    assert data.without_last(1).review_items.tolist() == [1, -1, 2, 2, -1]
    assert data.without_last(2).review_items.tolist() == [-1, -1, -1, 2, -1]


def cleaned(matrix: np.ndarray) -> np.ndarray:
    matrix = np.maximum(matrix, 0)
    np.fill_diagonal(matrix, 0)
    return matrix


def test_sequence_is_the_ridge_regression_of_futures_on_pasts() -> None:
    source = Sequential(past_decay=2, future_decay=1, ridge=0.5, max_past=2, max_future=2)
    pasts, futures = [], []
    for row in ROWS:
        for at in range(1, len(row)):
            past, future = np.zeros(6), np.zeros(6)
            for age, item in enumerate(row[:at][::-1][:2]):
                past[item] += np.exp(-age / 2)
            for age, item in enumerate(row[at:][:2]):
                future[item] += np.exp(-age)
            pasts.append(past)
            futures.append(future)
    x, y = np.array(pasts), np.array(futures)
    expected = np.linalg.solve(x.T @ x + 0.5 * np.eye(6), x.T @ y)
    assert source.fit(fit_data(ROWS)).toarray() == pytest.approx(cleaned(expected), abs=1e-5)


def test_symmetric_is_ease() -> None:
    x = np.zeros((len(ROWS), 6))
    for user, row in enumerate(ROWS):
        x[user, row] = 1
    inverse = np.linalg.inv(x.T @ x + 0.5 * np.eye(6))
    found = Symmetric(ridge=0.5).fit(fit_data(ROWS)).toarray()
    assert found == pytest.approx(cleaned(-inverse / np.diag(inverse)), abs=1e-5)


def test_truncation_keeps_the_largest_of_each_row() -> None:
    data = fit_data(ROWS)
    whole, cut = Symmetric(ridge=0.5).fit(data).toarray(), None
    cut = Symmetric(ridge=0.5, n_neighbours=2).fit(data).toarray()
    assert (np.count_nonzero(cut, axis=1) <= 2).all()
    assert np.sort(cut)[:, -2:] == pytest.approx(np.sort(whole)[:, -2:])


def test_smoothing_is_the_product_with_the_content_on_either_side() -> None:
    rng = np.random.default_rng(0)
    b, t = (cleaned(rng.normal(size=(5, 5)).astype(np.float32)) for _ in range(2))
    before, after = (sparse.csr_array(cleaned(m)) for m in (t @ b, b @ t))
    expected = before / deviation(before) + 0.5 * after / deviation(after)
    found = Smoothed().fit(sparse.csr_array(b), sparse.csr_array(t), Budget())
    assert found.toarray() == pytest.approx(expected.toarray(), rel=1e-4)


def test_beyond_the_memory_budget_the_tail_takes_cooccurrence() -> None:
    data = replace(fit_data(ROWS), budget=Budget(2 * 4 * 3 * 3 / 2**30))
    found = Sequential(ridge=0.5).fit(data).toarray()
    head = sorted(np.argsort(-data.log.counts(), kind="stable")[:3])
    tail = [item for item in range(6) if item not in head]
    counted = Cooccurrence().fit(data).toarray()
    ratio = found[tail].sum() / counted[tail].sum()
    assert ratio > 0
    assert found[tail] == pytest.approx(counted[tail] * ratio, rel=1e-5)
    inner = np.ix_(head, head)
    assert found[inner].sum() == pytest.approx(counted[inner].sum() * ratio, rel=1e-5)
    small = Symmetric(ridge=0.5).fit(data).toarray()
    assert small[tail].sum() == small[:, tail].sum() == 0
    assert small.sum() > 0


def test_weights_take_the_latest_event_and_pass_over_the_unknown() -> None:
    weights = Histories.of([[3, 1, 3, -1], []], 4).weights(2.0).toarray()
    assert weights[0] == pytest.approx([0, np.exp(-1), 0, np.exp(-0.5)])
    assert weights[1].sum() == 0


# --- the ranker --------------------------------------------------------------------------------


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
    from rag_rec.evaluation import Options, evaluate_retrieval

    data = planted(tmp_path)
    config = RankerConfig(min_users=100, rounds=30, min_leaf=20)
    options = Options(retrieval=RetrievalConfig(ranker=config), embedder=HashEmbedder(), ks=(10,))
    first, second = (evaluate_retrieval(data, options) for _ in range(2))
    assert first["fusion"] == "ranker"
    assert first["rows"] == second["rows"]
    rows = {row["name"]: row["ndcg@10"] for row in first["rows"]}
    assert rows["fusion"] > 1.2 * rows["weighted sum"]


def test_with_the_ranker_the_contract_holds(tmp_path: Path) -> None:
    retrieval = RetrievalConfig(
        ranker=RankerConfig(min_users=100, rounds=10, min_leaf=20, depth=20)
    )
    folder = tmp_path / "index"
    build_index(planted(tmp_path), folder, embedder=HashEmbedder(), retrieval=retrieval)
    index = ItemIndex.open(folder, HashEmbedder())
    retriever = FusedRetriever(index)
    assert retriever.ranker is not None
    users = [index.history(user) for user in sorted(index.user_ids)[:20]]
    check_retriever(retriever, index, [*users, UserHistory(), UserHistory(profile="wool")])
    pairs = zip(retriever.retrieve(users, 30), retriever.rank(users, 30), strict=True)
    for candidates, (items, scores) in pairs:
        assert [c.item_id for c in candidates] == [index.item_ids[ix] for ix in items]
        assert (np.diff(scores) <= 0).all()


def test_the_manifest_says_what_was_used_and_why(hash_index: ItemIndex) -> None:
    retrieval = hash_index.manifest.retrieval
    assert retrieval["fusion"] == "fixed weights"
    assert "2000 needed" in retrieval["fusion_why"]
    assert retrieval["solve"] == "dense"
    assert "6 GiB" in retrieval["solve_why"]


def test_items_of_the_history_may_be_listed_again_when_allowed(retriever: FusedRetriever) -> None:
    history = UserHistory.of("tea-009", "tea-010")
    again = history.model_copy(update={"constraints": Constraints(allow_seen=True)})
    found = retriever.retrieve([again], 10)[0]
    assert {"tea-009", "tea-010"} <= {c.item_id for c in found}
    assert any("history" in c.sources for c in found)


def test_it_may_be_called_from_several_threads(retriever: FusedRetriever) -> None:
    users = users_of(retriever.index)
    alone = [retriever.retrieve([user], 10)[0] for user in users]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda user: retriever.retrieve([user], 10)[0], users * 3))
    assert together == alone * 3
