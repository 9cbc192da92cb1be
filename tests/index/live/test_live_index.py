"""The index as it is now: events, items, prices and stock count at once, in every process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import (
    ConfigError,
    Constraints,
    DataError,
    Interaction,
    Item,
    ItemIndex,
    LiveIndex,
    UserHistory,
    open_retriever,
    where,
)
from rag_rec.index.eligibility import Eligibility
from rag_rec.testing import HashEmbedder

LAMP = Item(
    item_id="lamp-x",
    title="Storm lantern, brass",
    description="Burns lamp oil for a whole night.",
    brand="Wickhouse",
    price=49.0,
    categories=("Light", "Lanterns"),
)


@pytest.fixture
def folder(hash_index_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(hash_index_folder, tmp_path / "index"))


@pytest.fixture
def index(folder: Path) -> Iterator[LiveIndex]:
    opened = LiveIndex.open(folder, HashEmbedder())
    yield opened
    opened.close()


def other(folder: Path) -> LiveIndex:
    return LiveIndex.open(folder, HashEmbedder())


def test_without_changes_lists_are_those_of_the_version(folder: Path, index: LiveIndex) -> None:
    built = ItemIndex.open(folder, HashEmbedder())
    users = [built.history(user) for user in built.user_ids[:60]]
    users += [
        UserHistory(constraints=where("price<=20")),
        users[0].model_copy(update={"constraints": Constraints(allow_seen=True)}),
        UserHistory(profile="something for tea"),
    ]
    assert open_retriever(index).retrieve(users, 30) == open_retriever(built).retrieve(users, 30)
    assert index.n_built == built.n_items < index.n_items
    assert index.user_ids == built.user_ids
    assert not any(path.name.startswith("live") for path in folder.iterdir())


def test_an_event_counts_at_once_in_every_process(folder: Path, index: LiveIndex) -> None:
    reader = other(folder)
    user, item_id = index.user_ids[0], index.item_ids[5]
    before, popularity = index.history(user).events, int(reader.popularity[5])
    assert index.record(user, item_id, timestamp=4_000_000_000, rating=2.0)
    now = (*before, Interaction(item_id=item_id, timestamp=4_000_000_000, rating=2.0))
    assert index.history(user).events == now
    assert reader.history(user).events == before
    reader.refresh()
    assert reader.history(user).events == now
    assert reader.popularity[5] == popularity + 1
    assert other(folder).history(user).events == now


def test_events_stand_in_the_order_of_time(index: LiveIndex) -> None:
    user = index.user_ids[0]
    times = [event.timestamp or 0 for event in index.history(user).events]
    index.record(user, index.item_ids[1], timestamp=times[1] - 1)
    found = [event.timestamp or 0 for event in index.history(user).events]
    assert found == sorted([*times, times[1] - 1])


def test_new_users_are_known_by_their_events(index: LiveIndex) -> None:
    assert not index.has_user("newcomer")
    index.record("newcomer", index.item_ids[0])
    index.record("newcomer", index.item_ids[1])
    assert index.has_user("newcomer")
    assert index.history("newcomer").item_ids == tuple(index.item_ids[:2])
    assert index.user_ids[-1] == "newcomer"


def test_a_key_records_once_and_equal_events_without_one_are_two(index: LiveIndex) -> None:
    item_id = index.item_ids[0]
    assert index.record("u", item_id, key="order 7", timestamp=5)
    assert not index.record("u", item_id, key="order 7", timestamp=5)
    assert index.record("u", item_id, timestamp=5)
    assert len(index.history("u").events) == 2


def test_an_event_that_the_log_of_a_build_holds_is_not_added(index: LiveIndex) -> None:
    user = index.user_ids[0]
    before = index.history(user)
    event = before.events[-1]
    index.record(user, event.item_id, timestamp=event.timestamp, rating=event.rating)
    assert index.history(user) == before


def test_a_new_item_is_found_and_describes_itself(folder: Path, index: LiveIndex) -> None:
    retriever, reader = open_retriever(index), other(folder)
    by_other = open_retriever(reader)
    alike = index.item_ids[7]
    copied = index.item(7).model_copy(update={"item_id": "twin", "brand": "Twins"})
    index.upsert(copied)
    reader.refresh()
    for now, opened in ((index, retriever), (reader, by_other)):
        assert now.item_by_id("twin") == copied.model_copy(update={"is_new": True})
        (found,) = opened.retrieve([UserHistory.of(alike)], 10)
        twin = next(candidate for candidate in found if candidate.item_id == "twin")
        assert "content" in twin.sources
        linked = opened.explain(UserHistory.of(alike), ["twin"])["twin"]
        assert linked.text == f"Similar to “{index.item(7).title}”."
        ((near, cosines),) = now.nearest(now.vectors_of([7]), 2)
        assert {now.item_ids[row] for row in near} == {alike, "twin"}
        assert np.allclose(cosines, 1, atol=0.2)
    (from_it,) = by_other.retrieve([UserHistory.of("twin")], 10)
    assert alike in [candidate.item_id for candidate in from_it]
    assert "twin" not in [candidate.item_id for candidate in from_it]


def test_an_item_is_new_until_somebody_takes_it(index: LiveIndex) -> None:
    index.upsert(LAMP)
    assert index.item_by_id("lamp-x").is_new
    index.record("u", "lamp-x")
    assert not index.item_by_id("lamp-x").is_new


def test_prices_stock_and_words_change_in_place(folder: Path, index: LiveIndex) -> None:
    retriever, reader = open_retriever(index), other(folder)
    item = index.item(3)
    cheap, anyone = UserHistory(constraints=where("price<=0.5")), UserHistory()
    assert not reader.eligibility.mask(cheap).any()
    index.upsert(item.model_copy(update={"price": 0.25}))
    reader.refresh()
    assert np.flatnonzero(reader.eligibility.mask(cheap)).tolist() == [3]
    assert [c.item_id for c in retriever.retrieve([cheap], 5)[0]] == [item.item_id]
    index.upsert(item.model_copy(update={"in_stock": False}))
    reader.refresh()
    assert not reader.eligibility.mask(anyone)[3]
    index.upsert(item.model_copy(update={"brand": "Quite Another", "title": "Another thing"}))
    reader.refresh()
    branded = UserHistory(constraints=where("brand=quite another"))
    assert np.flatnonzero(reader.eligibility.mask(branded)).tolist() == [3]
    reader.eligibility.check_names(branded.constraints)
    assert reader.item(3).title == "Another thing"
    assert np.allclose(reader.vectors_of([3]), index.vectors_of([3]))
    assert not np.allclose(reader.vectors_of([3]), index.item_vectors[[3]])


def test_a_removed_item_is_not_listed_and_can_come_back(folder: Path, index: LiveIndex) -> None:
    reader = other(folder)
    index.upsert(LAMP)
    for item_id in (index.item_ids[0], "lamp-x"):
        row, item = index.find(item_id), index.item_by_id(item_id)
        assert row is not None
        for free, change in (
            (True, lambda: None),
            (False, lambda i=item_id: index.remove(i)),
            (True, lambda i=item: index.upsert(i)),
        ):
            change()
            reader.refresh()
            assert index.eligibility.mask(UserHistory())[row] == free
            assert reader.eligibility.mask(UserHistory())[row] == free
    index.remove("lamp-x")
    assert index.record("u", "lamp-x")


def test_what_is_wrong_is_said_and_not_written(index: LiveIndex) -> None:
    with pytest.raises(DataError, match="no item 'nowhere'"):
        index.record("u", "nowhere")
    with pytest.raises(DataError, match="no item 'nowhere'"):
        index.remove("nowhere")
    with pytest.raises(DataError, match="user_id"):
        index.record("", index.item_ids[0])
    with pytest.raises(DataError, match="rating"):
        index.record("u", index.item_ids[0], rating="five")  # type: ignore[arg-type]
    assert index.live_seq == 0


def test_room_for_new_items_ends_with_one_line(
    index: LiveIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveIndex, "n_items", property(lambda self: self.n_built + 1))
    index.upsert(LAMP)
    with pytest.raises(ConfigError, match="rag-rec index --update"):
        index.upsert(LAMP.model_copy(update={"item_id": "lamp-y"}))
    index.upsert(LAMP.model_copy(update={"price": 1.0}))


def test_lists_are_whole_while_items_and_events_come(folder: Path, index: LiveIndex) -> None:
    retriever, users = open_retriever(index), [index.history(u) for u in index.user_ids[:8]]
    ended, failures = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            try:
                index.refresh()
                for row in retriever.retrieve(users, 20):
                    assert len({candidate.item_id for candidate in row}) == 20
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    writer = other(folder)
    for n in range(40):
        writer.upsert(LAMP.model_copy(update={"item_id": f"lamp-{n}", "title": f"Lamp {n}"}))
        writer.record(f"u{n}", f"lamp-{n}")
    ended.set()
    for reader in readers:
        reader.join()
    assert not failures
    index.refresh()
    assert index.find("lamp-39") is not None


names = st.sampled_from(["Oak", "Elm", "oak", ""])
prices = st.none() | st.floats(0, 50)
described = st.builds(
    dict,
    brand=names,
    price=prices,
    categories=st.lists(st.sampled_from(["Tea", "Cups", "tea"]), max_size=2),
    in_stock=st.booleans(),
)


@settings(deadline=None)
@given(
    built=st.lists(described, min_size=1, max_size=6),
    steps=st.lists(
        st.dictionaries(st.integers(0, 5), st.none() | described, max_size=3), max_size=3
    ),
    asked=st.sampled_from(
        ["", "price<=20", "brand=oak", "brand!=elm", "category=tea", "category!=cups"]
    ),
)
def test_changed_rules_are_those_of_a_changed_table(
    built: list[dict[str, object]],
    steps: list[dict[int, dict[str, object] | None]],
    asked: str,
) -> None:
    def table(rows: list[dict[str, object]]) -> pl.DataFrame:
        schema = {
            "item_id": pl.String(),
            "brand": pl.String(),
            "price": pl.Float64(),
            "categories": pl.List(pl.String()),
            "in_stock": pl.Boolean(),
            "released": pl.Date(),
        }
        return pl.DataFrame(
            [{"item_id": str(n), "released": None} | row for n, row in enumerate(rows)], schema
        )

    def rules(rows: list[dict[str, object]], gone: set[int]) -> Eligibility:
        retired = np.array([n in gone for n in range(len(rows))])
        return Eligibility(table(rows), {str(n): n for n in range(len(rows))}, retired)

    history = UserHistory(constraints=where(asked) if asked else Constraints())
    rows, gone = list(built), set[int]()
    found = rules(rows, gone)
    found.mask(history)
    for step in steps:
        changes: dict[int, Item | None] = {}
        for row, change in step.items():
            if row >= len(rows):
                continue
            if change is None:
                changes[row] = None
                gone.add(row)
            else:
                brand = change["brand"] or None
                changes[row] = Item.model_validate(
                    {"item_id": str(row)} | change | {"brand": brand}
                )
                rows[row] = change
                gone.discard(row)
        found = found.changed(changes)
        assert found.mask(history).tolist() == rules(rows, gone).mask(history).tolist()
