"""What one account can do: it counts once for an item, whatever it does again and again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import Dataset, ItemIndex, Recommender, build_index, load_sample
from rag_rec.index import Manifest
from rag_rec.retrieval import SOURCES, Histories
from rag_rec.retrieval.item_item import Popularity
from rag_rec.retrieval.item_item.ease import Ease
from rag_rec.retrieval.item_item.slit import Cooccurrence, Slit
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.testing import HashEmbedder
from tests.retrieval.hand_made import fit_data

N = 8
LOGS = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=9), min_size=1, max_size=6)
TIMES = 20


@given(LOGS)
def test_an_account_counts_once_for_an_item(rows: list[list[int]]) -> None:
    log = Histories.of(rows, N)
    users = np.bincount(log.items, log.shares, N)
    expected = Counter(item for row in rows for item in set(row))
    np.testing.assert_allclose(users, [expected[item] for item in range(N)], rtol=1e-6)
    assert log.counts().tolist() == [expected[item] for item in range(N)]


@given(LOGS, st.lists(st.integers(0, N - 1), min_size=1, max_size=5))
@settings(deadline=None)
def test_repeats_without_end_add_no_more_than_one_user(
    rows: list[list[int]], loop: list[int]
) -> None:
    honest = fit_data(rows, N)
    attacked = fit_data([*rows, loop * TIMES], N)
    gained = Popularity().fit(attacked) - Popularity().fit(honest)
    assert gained.max() <= 1 + 1e-5
    once = fit_data([*rows, list(dict.fromkeys(loop))], N)
    same = Ease().fit(once, {}) - Ease().fit(attacked, {})
    assert abs(same).max() <= 1e-6
    before, after = ItemStats.fit(honest), ItemStats.fit(attacked)
    assert (after.popularity - before.popularity).max() <= 1
    assert (after.late - before.late).max() <= 1 + 1e-5
    assert (after.next - before.next).sum(axis=0).max() <= 1 + 1e-5


@given(LOGS, st.lists(st.integers(0, N - 1), min_size=1, max_size=5))
@settings(deadline=None)
def test_what_comes_next_weighs_no_more_than_one_event(
    rows: list[list[int]], loop: list[int]
) -> None:
    honest, attacked = Histories.of(rows, N), Histories.of([*rows, loop * TIMES], N)
    slit = Slit()
    most = sum(np.exp(-gap / slit.future_decay) for gap in range(slit.max_future))
    gained = slit.splits(attacked)[1].sum(axis=0) - slit.splits(honest)[1].sum(axis=0)
    assert gained.max() <= most + 1e-4
    pairs = Cooccurrence(window=1)
    data = fit_data([loop * TIMES], N)
    scale = 1 + pairs.shrink  # one user of each item
    assert (pairs.fit(data) * scale).max() <= 1 + pairs.backward + 1e-5


def test_reviews_of_one_author_count_as_one() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.random((5, 4)).astype(np.float32)
    told = np.array([0, 0, 1, 2], np.int32), np.array([0, 1, 0, -1], np.int32)
    many = np.repeat([0, 1, 2, 3], [50, 1, 1, 1])
    data = fit_data([[0, 1], [0]], 3)
    reviews = next(source for source in SOURCES if source.name == "reviews")
    found = [
        reviews.fit(
            replace(
                data,
                review_vectors=vectors[places],
                review_items=told[0][places],
                review_users=told[1][places],
            ),
            {},
        ).toarray()
        for places in (np.arange(4), many)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def _attacked(n_rounds: int) -> tuple[Dataset, str]:
    """Return the sample with an account that takes the rarest item after each popular one."""
    data = load_sample()
    counts = data.interactions["item_id"].value_counts().sort("count", "item_id", descending=True)
    target, popular = counts["item_id"][-1], counts["item_id"][:100].to_list()
    taken = [item for _ in range(n_rounds) for other in popular for item in (other, target)]
    latest = int(data.interactions["timestamp"].to_numpy().max())
    fake = pl.DataFrame(
        {
            "user_id": ["zz"] * len(taken),
            "item_id": taken,
            "timestamp": range(latest, latest + len(taken)),
            "rating": [5.0] * len(taken),
        }
    ).cast(dict(data.interactions.schema))
    return replace(data, interactions=pl.concat([data.interactions, fake])), target


@pytest.mark.parametrize("n_rounds", [5, 20])
def test_one_account_does_not_buy_the_top(n_rounds: int, tmp_path: Path) -> None:
    attacked, target = _attacked(n_rounds)
    manifest, _ = build_index(attacked, tmp_path / "index", embedder=HashEmbedder())
    _is_named(manifest, 200 * n_rounds)
    with Recommender.open(tmp_path / "index", "none", embedder=HashEmbedder()) as recommender:
        users = attacked.interactions["user_id"].unique(maintain_order=True).to_list()[:-1]
        found = recommender.retriever.retrieve([recommender.history_of(user) for user in users], 10)
    listed = [target in [candidate.item_id for candidate in row] for row in found]
    assert np.mean(listed) < 0.02  # .155 and .433 before an item counted once


def _is_named(manifest: Manifest, n_events: int) -> None:
    told = [notice for notice in manifest.notices if "'zz'" in notice]
    assert len(told) == 1
    assert f"'zz' ({n_events:,})" in told[0]


def test_nobody_is_named_in_a_clean_log(hash_index: ItemIndex) -> None:
    assert not [notice for notice in hash_index.manifest.notices if "far more events" in notice]
