"""Splits: who is asked what, and that nothing later or hidden reaches the fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rag_rec import Dataset
from rag_rec.core.errors import DataError
from rag_rec.data import (
    INTERACTIONS,
    REVIEWS,
    ReviewStore,
    Split,
    dtypes,
    leave_last_out,
    split_at_time,
    split_users,
    split_within_users,
)

Event = tuple[str, str, int | None]
PROTOCOLS: dict[str, Callable[[Dataset], Split]] = {
    "leave-last-out": leave_last_out,
    "validation": lambda data: leave_last_out(data, hidden=3, n_target=2),
    "time": lambda data: split_at_time(data, cut=50),
    "share of time": lambda data: split_at_time(data, cut=0.7, validation=True),
    "within users": lambda data: split_within_users(data, share=0.7),
    "users": lambda data: split_users(data, share=0.8),
}


def data_of(folder: Path, events: Sequence[Event], reviews: str = "") -> Dataset:
    log = folder / "log.csv"
    rows = [f"{user},{item},{'' if time is None else time}" for user, item, time in events]
    log.write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    texts = None
    if reviews:
        texts = folder / "reviews.csv"
        texts.write_text("user_id,item_id,text,timestamp\n" + reviews)
    return Dataset.load(interactions=log, reviews=texts)


def asked(split: Split) -> dict[str, tuple[list[str], str]]:
    questions = zip(split.inputs, split.targets, strict=True)
    return dict(zip(split.users, questions, strict=True))


def fitted(split: Split) -> set[tuple[str, str]]:
    return set(split.fit.interactions.select("user_id", "item_id").iter_rows())


LOG: list[Event] = [
    ("u", "a", 1), ("u", "b", 5), ("u", "c", 12), ("u", "d", 12),
    ("v", "a", 3), ("v", "b", 9),
    ("w", "e", 11), ("w", "f", 13),
    ("x", "b", 2), ("x", "c", 10),
]  # fmt: skip


def test_a_cut_in_time_is_one_moment_for_all(tmp_path: Path) -> None:
    data = data_of(tmp_path, LOG)
    split = split_at_time(data, cut=10)
    assert asked(split) == {"u": (["a", "b"], "c"), "x": (["b"], "c")}
    assert split.fit.interactions["timestamp"].max() == 9
    assert split.known_until == 10
    assert dict(zip(split.users, split.tied, strict=True)) == {"u": True, "x": False}
    by_share = split_at_time(data, cut=0.5)
    assert by_share.known_until == 10
    assert asked(by_share) == asked(split)
    inside = split_at_time(data, cut=10, validation=True)
    assert inside.known_until == 3
    assert asked(inside) == {"u": (["a"], "b")}
    with pytest.raises(DataError, match="nobody can be asked for: this protocol needs users with"):
        split_at_time(data, cut=99)
    with pytest.raises(DataError, match="nobody can be asked for"):
        split_at_time(data, cut=1)
    with pytest.raises(DataError, match="1 of 2 have none; use the protocol within-users"):
        split_at_time(data_of(tmp_path, [("u", "a", 1), ("u", "b", None)]), cut=0.5)


def test_every_event_after_the_cut_is_asked_with_those_of_earlier_times(tmp_path: Path) -> None:
    split = split_at_time(data_of(tmp_path, LOG), cut=10, every=True)
    questions = list(zip(split.users, split.inputs, split.targets, strict=True))
    assert questions == [
        ("u", ["a", "b"], "c"), ("u", ["a", "b"], "d"), ("w", ["e"], "f"), ("x", ["b"], "c"),
    ]  # fmt: skip
    assert split.fit.digest == split_at_time(data_of(tmp_path, LOG), cut=10).fit.digest
    inside = split_at_time(data_of(tmp_path, LOG), cut=10, every=True, validation=True)
    assert (inside.users, inside.targets) == (["u", "v"], ["b", "b"])
    with pytest.raises(DataError, match="nobody can be asked for"):
        split_at_time(data_of(tmp_path, LOG), cut=99, every=True)


def test_a_cut_by_position_needs_no_times(tmp_path: Path) -> None:
    events = [("u", item, None) for item in "abcdefghij"] + [("v", "a", None), ("v", "b", None)]
    data = data_of(tmp_path, events)
    split = split_within_users(data, share=0.8)
    assert asked(split) == {"u": (list("abcdefgh"), "i"), "v": (["a"], "b")}
    assert fitted(split) == {("u", item) for item in "abcdefgh"} | {("v", "a")}
    inside = split_within_users(data, share=0.8, validation=True)
    assert asked(inside) == {"u": (list("abcdef"), "g")}
    with pytest.raises(DataError, match="nobody can be asked for"):
        split_within_users(data, share=0.05)


def test_users_unseen_in_the_fit_are_asked_with_their_history(tmp_path: Path) -> None:
    events: list[Event] = [
        (f"u{n}", item, t) for n in range(20) for t, item in enumerate(f"{n % 3}{n % 4}{n % 5}")
    ]
    reviews = "".join(f"u{n},0,good,1\n" for n in range(20))
    data = data_of(tmp_path, events, reviews)
    test, validation = (split_users(data, share=0.9, validation=v) for v in (False, True))
    assert len(test.users) == len(validation.users) == 2
    assert not set(test.users) & set(validation.users)
    seen = set(test.fit.interactions["user_id"])
    assert len(seen) == 16
    assert not seen & {*test.users, *validation.users}
    assert test.fit.digest == validation.fit.digest
    assert {user for part in test.fit.reviews.frames() for user in part["user_id"]} == seen
    log = data.interactions
    for user, (taken, target) in asked(test).items():
        assert [*taken, target] == log.filter(pl.col("user_id") == user)["item_id"].to_list()
    with pytest.raises(DataError, match=r"move --cut, between 0.5 and 1"):
        split_users(data, share=0.5)


def test_reviews_from_after_a_cut_or_without_a_time_are_not_fitted_on(tmp_path: Path) -> None:
    reviews = "u,a,early,2\nu,b,late,10\nv,b,undated,\nx,c,of a hidden event,4\n"
    split = split_at_time(data_of(tmp_path, LOG, reviews), cut=10)
    (kept,) = split.fit.reviews.frames()
    assert kept["text"].to_list() == ["early"]


EVENTS = st.lists(
    st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abcdef"), st.integers(0, 99)),
    min_size=12,
    max_size=60,
)


def log_of(events: list[tuple[str, str, int]]) -> Dataset:
    """Return a data set with these events; the rating of each is its number."""
    rows = [(*event, float(number)) for number, event in enumerate(events)]
    frame = pl.DataFrame(rows, schema=dtypes(INTERACTIONS), orient="row")
    return Dataset(
        pl.DataFrame({"item_id": [*"abcdefg"]}),
        frame.sort("user_id", "timestamp", maintain_order=True),
        ReviewStore([pl.DataFrame(schema=dtypes(REVIEWS))]),
    )


@pytest.mark.parametrize("name", PROTOCOLS)
@given(events=EVENTS, data=st.data())
@settings(max_examples=60, deadline=None, phases=[Phase.generate])
def test_what_is_hidden_may_be_anything(
    name: str, events: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """Replace the items of all targets and hidden events: the fit and the inputs stay the same."""
    whole = log_of(events)
    try:
        split = PROTOCOLS[name](whole)
    except DataError:
        return
    log = whole.interactions
    lengths = dict(zip(split.users, map(len, split.inputs), strict=True))
    place = pl.int_range(pl.len()).over("user_id")
    is_input = place < pl.col("user_id").replace_strict(lengths, default=0)
    is_fitted = pl.col("rating").is_in(split.fit.interactions["rating"].implode())
    is_seen = log.select(is_input | is_fitted).to_series()
    n = len(is_seen)
    drawn = pl.Series(data.draw(st.lists(st.sampled_from("abcdefg"), min_size=n, max_size=n)))
    items = log["item_id"].zip_with(is_seen, drawn)
    planted = PROTOCOLS[name](replace(whole, interactions=log.with_columns(item_id=items)))
    assert planted.fit.interactions.equals(split.fit.interactions)
    assert (planted.users, planted.inputs) == (split.users, split.inputs)


@given(
    events=EVENTS,
    planted=st.tuples(st.sampled_from("uvwxyzn"), st.sampled_from("abcdefg"), st.integers(50, 99)),
)
@settings(max_examples=60, deadline=None, phases=[Phase.generate])
def test_an_event_planted_after_the_cut_changes_no_fit(
    events: list[tuple[str, str, int]], planted: tuple[str, str, int]
) -> None:
    try:
        split = split_at_time(log_of(events), cut=50)
    except DataError:
        return
    other = split_at_time(log_of([*events, planted]), cut=50)
    assert other.fit.digest == split.fit.digest
    assert other.inputs[: len(split.inputs)] == split.inputs or planted[0] in other.users
