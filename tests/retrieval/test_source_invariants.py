"""What holds of every source: order of users and items, little data, no self-affinity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import ItemIndex
from rag_rec.index import item_texts
from rag_rec.retrieval import SOURCES, FitData, Histories, Matrices
from rag_rec.retrieval.base import fit_all
from rag_rec.retrieval.item_item import Popularity
from rag_rec.retrieval.item_item.content import Content, weighted_words
from rag_rec.retrieval.item_item.ease import Ease
from rag_rec.retrieval.item_item.slit import Cooccurrence, Slit
from rag_rec.retrieval.matrices import unit_rows
from rag_rec.testing import check_source
from tests.retrieval.hand_made import fit_data

N = 6
TEXTS = ("green tea", "black tea", "green pot", "steel pot and lid", "lid", "")
LOGS = st.lists(st.lists(st.integers(0, N - 1), max_size=6), max_size=6)


def everything(rows: Sequence[Sequence[int]]) -> FitData:
    """Return data with texts, vectors and reviews; item 5 has none of them."""
    rng = np.random.default_rng(2)
    vectors = unit_rows(rng.random((N, 3)).astype(np.float32))
    vectors[5] = 0
    return replace(
        fit_data(rows, N, texts=TEXTS, vectors=vectors),
        review_vectors=unit_rows(rng.random((8, 3)).astype(np.float32)),
        review_items=np.array([0, 0, 1, 2, 2, 3, 4, -1], np.int32),
        review_users=np.full(8, -1, np.int32),
    )


def fitted(data: FitData) -> Matrices:
    views: Matrices = {}
    for source in SOURCES:
        views |= source.views(data)
    return views | fit_all(SOURCES, data, views)


def renumbered(data: FitData, order: np.ndarray) -> FitData:
    """Return the data with old item ``order[i]`` as new item i."""
    new = np.argsort(order)
    reviewed = data.review_items >= 0
    return replace(
        data,
        log=Histories(N, data.log.starts, new[data.log.items].astype(np.int32)),
        texts=[data.texts[old] for old in order],
        titles=[data.titles[old] for old in order],
        item_vectors=np.asarray(data.item_vectors)[order],
        review_items=np.where(reviewed, new[data.review_items], -1).astype(np.int32),
    )


@settings(deadline=None, max_examples=25)
@given(LOGS, st.permutations(range(N)))
def test_numbers_of_items_carry_no_meaning(rows: list[list[int]], order: list[int]) -> None:
    data = everything(rows)
    there = fitted(data)
    moved = fitted(renumbered(data, np.array(order)))
    for name, matrix in there.items():
        expected = matrix.toarray()[np.ix_(order, order)]
        assert moved[name].toarray() == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    before, after = (Popularity().fit(d) for d in (data, renumbered(data, np.array(order))))
    assert after.tolist() == before[order].tolist()


@settings(deadline=None, max_examples=25)
@given(LOGS, st.randoms(use_true_random=False))
def test_the_order_of_users_carries_no_meaning(rows: list[list[int]], random) -> None:
    there = fitted(everything(rows))
    random.shuffle(rows)
    for name, matrix in fitted(everything(rows)).items():
        expected = there[name].toarray()
        assert matrix.toarray() == pytest.approx(expected, rel=1e-3, abs=1e-6), name


@settings(deadline=None, max_examples=25)
@given(LOGS)
def test_every_source_keeps_the_contract_on_any_log(rows: list[list[int]]) -> None:
    data = everything(rows)
    found = fitted(data)
    for source in SOURCES:
        check_source(source, data, found)
    for name in ("slit", "ease"):
        matrix = found[name].toarray()
        untouched = np.setdiff1d(np.arange(N), data.log.items)
        assert not matrix[untouched].any(), name
        assert not matrix[:, untouched].any(), name
    # an item without text and reviews has no neighbours by them
    for name in ("title", "words", "vectors", "content", "reviews"):
        matrix = found[name].toarray()
        assert not matrix[5].any(), name
        assert not matrix[:, 5].any(), name


def test_every_source_keeps_the_contract_on_the_sample(hash_index: ItemIndex) -> None:
    data = FitData.of(hash_index, item_texts(hash_index.items))
    found = fitted(data)
    for source in SOURCES:
        check_source(source, data, found)
        assert found[source.name].nnz > 0, source.name


@pytest.mark.parametrize("rows", [[], [[]], [[3]], [[2, 2, 2]]])
def test_where_nobody_took_two_items_the_log_says_nothing(rows: list[list[int]]) -> None:
    found = fitted(everything(rows))
    assert found["slit"].nnz == found["ease"].nnz == found["content_smoothed"].nnz == 0
    assert found["content"].nnz > 0
    assert Popularity().fit(everything(rows)).sum() == sum(len(set(row)) for row in rows)


def test_one_user_of_two_items() -> None:
    data = fit_data([[0, 1]], 3)
    # X'X = 1 at (0, 0), X'Y = 1 at (0, 1): the ridge of 1 halves it
    slit = Slit(ridge=1).fit(data, {}).toarray()
    assert slit == pytest.approx(np.array([[0, 0.5, 0], [0, 0, 0], [0, 0, 0]]))
    # (X'X + I)^-1 = (2, -1; -1, 2) / 3 on both items
    ease = Ease(ridge=1).fit(data, {}).toarray()
    assert ease == pytest.approx(np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]))


def test_cooccurrence_fades_with_the_gap_and_counts_less_backwards() -> None:
    rows, e = [[0, 1, 2]], np.exp(-1)
    found = Cooccurrence(decay=1, backward=0.5, shrink=0).fit(fit_data(rows, 3)).toarray()
    expected = np.array([[0, 1, e], [0.5, 0, 1], [e / 2, 0.5, 0]])
    assert found == pytest.approx(expected)
    near = Cooccurrence(window=1, backward=0, shrink=1).fit(fit_data([*rows, [0]], 3)).toarray()
    assert near[0] == pytest.approx([0, 1 / (np.sqrt(2) + 1), 0])
    assert near[1] == pytest.approx([0, 0, 0.5])
    assert not near[2].any()


def test_content_is_the_mean_of_three_views_whose_rows_sum_to_one() -> None:
    data = everything([])
    source = Content(word_power=1, vector_power=1)
    views = source.views(data)
    assert set(views) == {"title", "words", "vectors"}
    for view in views.values():
        assert view.sum(axis=1)[:3] == pytest.approx([1, 1, 1])
    found = source.fit(data, views).toarray()
    assert found == pytest.approx(sum(view.toarray() for view in views.values()) / 3)
    # words of two titles count: cosines 1 / sqrt(2) by "tea" and 1 / 2 by "green"
    share = np.sqrt(2) / (np.sqrt(2) + 1)
    assert views["title"].toarray()[0, :3] == pytest.approx([0, share, 1 - share])
    sharp = Content(word_power=2, vector_power=1).views(data)
    assert sharp["title"].toarray()[0, :3] == pytest.approx([0, 2 / 3, 1 / 3])
    assert sharp["vectors"].toarray() == pytest.approx(views["vectors"].toarray())


def test_words_are_weighted_by_their_rarity_and_the_logarithm_of_their_number() -> None:
    bags = [["a", "a", "b"], ["a"], ["c"]]
    rows = weighted_words(bags, least=1).toarray()
    a, b = (1 + np.log(2)) * np.log(3 / 2), np.log(3)
    assert rows[0] == pytest.approx(np.array([a, b, 0]) / np.hypot(a, b), rel=1e-5)
    assert rows[1:].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert weighted_words([[], []], least=1).toarray().tolist() == [[0], [0]]
