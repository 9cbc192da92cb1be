"""The sources in closed form against the formulas they come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from rag_rec.retrieval import Budget, FitData, Histories
from rag_rec.retrieval.item_item.content import tf_idf
from rag_rec.retrieval.item_item.content_smoothed import ContentSmoothed
from rag_rec.retrieval.item_item.ease import Ease
from rag_rec.retrieval.item_item.popularity import Popularity
from rag_rec.retrieval.item_item.reviews import Reviews
from rag_rec.retrieval.item_item.slit import Cooccurrence, Slit
from rag_rec.retrieval.matrices import deviation

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


def test_events_put_aside_take_their_reviews_along() -> None:
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


def test_slit_is_the_ridge_regression_of_futures_on_pasts() -> None:
    source = Slit(past_decay=2, future_decay=1, ridge=0.5, max_past=2, max_future=2)
    pasts, futures = [], []
    for row in ROWS:
        for at in range(1, len(row)):
            past, future = np.zeros(6), np.zeros(6)
            for age, item in enumerate(row[:at][::-1][:2]):
                past[item] += np.exp(-age / 2) / row.count(item)
            for age, item in enumerate(row[at:][:2]):
                future[item] += np.exp(-age) / row.count(item)
            pasts.append(past)
            futures.append(future)
    x, y = np.array(pasts), np.array(futures)
    expected = np.linalg.solve(x.T @ x + 0.5 * np.eye(6), x.T @ y)
    assert source.fit(fit_data(ROWS), {}).toarray() == pytest.approx(cleaned(expected), abs=1e-5)


def test_ease_is_the_closed_form_of_steck() -> None:
    x = np.zeros((len(ROWS), 6))
    for user, row in enumerate(ROWS):
        x[user, row] = 1
    inverse = np.linalg.inv(x.T @ x + 0.5 * np.eye(6))
    found = Ease(ridge=0.5).fit(fit_data(ROWS), {}).toarray()
    assert found == pytest.approx(cleaned(-inverse / np.diag(inverse)), abs=1e-5)


def test_truncation_keeps_the_largest_of_each_row() -> None:
    data = fit_data(ROWS)
    whole, cut = Ease(ridge=0.5).fit(data, {}).toarray(), None
    cut = Ease(ridge=0.5, n_neighbours=2).fit(data, {}).toarray()
    assert (np.count_nonzero(cut, axis=1) <= 2).all()
    assert np.sort(cut)[:, -2:] == pytest.approx(np.sort(whole)[:, -2:])


def test_smoothing_is_the_product_with_the_content_on_either_side() -> None:
    rng = np.random.default_rng(0)
    b, t = (cleaned(rng.normal(size=(5, 5)).astype(np.float32)) for _ in range(2))
    before, after = (sparse.csr_array(cleaned(m)) for m in (t @ b, b @ t))
    expected = before / deviation(before) + 0.5 * after / deviation(after)
    matrices = {"slit": sparse.csr_array(b), "content": sparse.csr_array(t)}
    found = ContentSmoothed().fit(fit_data([[0]], 5), matrices)
    assert found.toarray() == pytest.approx(expected.toarray(), rel=1e-4)


def test_beyond_the_memory_budget_the_tail_takes_cooccurrence() -> None:
    data = replace(fit_data(ROWS), budget=Budget(2 * 4 * 3 * 3 / 2**30))
    found = Slit(ridge=0.5).fit(data, {}).toarray()
    head = sorted(np.argsort(-data.log.counts(), kind="stable")[:3])
    tail = [item for item in range(6) if item not in head]
    counted = Cooccurrence().fit(data).toarray()
    ratio = found[tail].sum() / counted[tail].sum()
    assert ratio > 0
    assert found[tail] == pytest.approx(counted[tail] * ratio, rel=1e-5)
    inner = np.ix_(head, head)
    assert found[inner].sum() == pytest.approx(counted[inner].sum() * ratio, rel=1e-5)
    small = Ease(ridge=0.5).fit(data, {}).toarray()
    assert small[tail].sum() == small[:, tail].sum() == 0
    assert small.sum() > 0


def test_weights_take_the_latest_event_and_pass_over_the_unknown() -> None:
    weights = Histories.of([[3, 1, 3, -1], []], 4).weights(2.0).toarray()
    assert weights[0] == pytest.approx([0, np.exp(-1), 0, np.exp(-0.5)])
    assert weights[1].sum() == 0


def test_reviews_are_neighbours_of_mean_vectors() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.random((7, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = np.array([0, 0, 1, 2, 2, 2, -1], np.int32)
    nobody = np.full(7, -1, np.int32)
    data = replace(
        fit_data([[0]], 4), review_vectors=vectors, review_items=items, review_users=nobody
    )
    found = Reviews(power=2.0).fit(data, {}).toarray()
    means = np.array([vectors[items == n].mean(axis=0) for n in range(3)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert found[:3, :3] == pytest.approx(cleaned((means @ means.T) ** 2), abs=1e-5)
    assert found[3].sum() == found[:, 3].sum() == 0


def test_popularity_halves_with_age_and_counts_a_user_once() -> None:
    day = 86_400.0
    data = replace(fit_data([[0, 1, 2, 0]], 4), times=np.array([0, 10, 20, np.nan]) * day)
    assert Popularity(half_life_days=10).fit(data) == pytest.approx([1.25 / 2, 0.5, 1, 0])
    assert Popularity().fit(fit_data([[0, 1, 0], [0]], 3)).tolist() == [2, 1, 0]


def test_words_of_one_text_do_not_count_and_rows_have_length_one() -> None:
    rows = tf_idf(["green tea tea", "green pot", "unique", ""]).toarray()
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 0, 0])
    assert rows.shape[1] == 1, "green is the only word that two texts share"
