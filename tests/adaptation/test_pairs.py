"""Pairs: the last two events of anybody, and what lies after a cut, are in none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import Dataset, ItemIndex
from rag_rec.adaptation.embedder.events import Events
from rag_rec.adaptation.embedder.pairs import N_TITLES, Pairs, training_pairs
from rag_rec.adaptation.embedder.validation import Validation
from rag_rec.core import DataError
from rag_rec.index import write_index
from rag_rec.testing import HashEmbedder

NOBODY = np.zeros(10_000, np.bool_)


def pairs_of(index: ItemIndex, until: float | None, limit: int | None, seed: int) -> Pairs:
    events = Events.of(index, until)
    return training_pairs(events, NOBODY[: len(events.user_ids)], limit=limit, seed=seed)


@pytest.fixture(scope="module")
def bare_index(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ItemIndex:
    """The sample, a third of whose items have no text."""
    ids = sample.items["item_id"].to_list()[::3]
    bare = pl.col("item_id").is_in(ids)
    items = sample.items.with_columns(
        *(
            pl.when(bare).then(pl.lit("")).otherwise(pl.col(name)).alias(name)
            for name in ("title", "brand", "description")
        ),
        pl.when(bare)
        .then(pl.lit([], dtype=pl.List(pl.String)))
        .otherwise(pl.col("categories"))
        .alias("categories"),
    )
    folder = tmp_path_factory.mktemp("bare") / "index"
    write_index(replace(sample, items=items), folder, HashEmbedder(), finish=lambda *_: {})
    return ItemIndex.open(folder, HashEmbedder())


def known(log: pl.DataFrame, until: float | None) -> pl.DataFrame:
    """The events that may be seen, written down by another way."""
    if until is not None:
        log = log.filter(pl.col("timestamp").is_not_null() & (pl.col("timestamp") < until))
    return log.group_by("user_id", maintain_order=True).agg(pl.all().head(pl.len() - 2))


@settings(max_examples=25, deadline=None)
@given(
    quantile=st.none() | st.floats(0.2, 1.0),
    limit=st.none() | st.integers(5, 500),
    seed=st.integers(0, 99),
)
def test_no_pair_holds_one_of_the_last_two_events_or_one_after_the_cut(
    hash_index: ItemIndex, quantile: float | None, limit: int | None, seed: int
) -> None:
    log = hash_index.interactions
    until = None if quantile is None else log["timestamp"].quantile(quantile)
    pairs = pairs_of(hash_index, until, limit, seed)
    texts = np.array(Events.of(hash_index).text_of)
    allowed: set[tuple[int, int]] = set()
    shown: set[tuple[tuple[int, ...], int]] = set()
    for items in known(log, until)["item_id"].to_list():
        rows = [hash_index.row_of[item] for item in items]
        for at in range(1, len(rows)):
            one, two = int(texts[rows[at - 1]]), int(texts[rows[at]])
            allowed |= {(one, two), (two, one)}
            shown.add((tuple(rows[max(0, at - N_TITLES) : at]), two))
    for pair in range(len(pairs)):
        positive = int(pairs.positives[pair])
        items = tuple(item for item in pairs.items[pair].tolist() if item >= 0)
        if items:
            assert (items, positive) in shown
        else:
            assert (int(pairs.anchors[pair, 0]), positive) in allowed
    assert limit is None or len(pairs) <= limit


def test_pairs_are_of_different_items_with_texts(bare_index: ItemIndex) -> None:
    pairs = pairs_of(bare_index, None, None, 0)
    assert all(pairs.texts)
    assert len(pairs) > 100
    assert (pairs.positives >= 0).all()
    assert (pairs.anchors[:, 0] != pairs.positives).all()
    assert (pairs.anchors != pairs.positives[:, None]).all()
    assert all(pairs.anchor_text(pair) for pair in range(len(pairs)))


def test_what_equals_the_positive_or_is_in_the_anchor_is_no_negative(
    hash_index: ItemIndex,
) -> None:
    pairs = pairs_of(hash_index, None, None, 0)
    batch = next(pairs.batches(256, 0, 0))
    masked = pairs.false_negatives(batch)
    for row in range(256):
        own = {int(pairs.positives[batch[row]]), *pairs.anchors[batch[row]].tolist()}
        for column in range(256):
            equal = int(pairs.positives[batch[column]]) in own
            assert masked[row, column] == (equal and row != column)
    assert masked.any()


def test_nothing_is_learned_of_users_who_validate(hash_index: ItemIndex) -> None:
    events = Events.of(hash_index)
    validation = Validation.of(events, 0)
    pairs = training_pairs(events, validation.users)
    assert not validation.users[events.owners[pairs.events]].any()
    for at, user in enumerate(np.flatnonzero(validation.users)):
        log = hash_index.history(events.user_ids[user])
        wanted = hash_index.row_of[log.item_ids[-2]]
        assert validation.texts[validation.targets[at]] == events.texts[events.text_of[wanted]]


def test_a_cut_before_everything_and_a_log_too_short_are_refused(
    hash_index: ItemIndex, sample: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="give a later time"):
        Events.of(hash_index, 1.0)
    log = sample.interactions.group_by("user_id", maintain_order=True).head(3)
    log = log.select(sample.interactions.columns)
    short = replace(sample, interactions=log)
    write_index(short, tmp_path / "index", HashEmbedder(), finish=lambda *_: {})
    with pytest.raises(DataError, match="no pair to learn from"):
        pairs_of(ItemIndex.open(tmp_path / "index", HashEmbedder()), None, None, 0)
