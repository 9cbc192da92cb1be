"""Filters: ratings as implicit feedback, and the k-core."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_rec import Dataset
from rag_rec.core.errors import DataError
from rag_rec.data import k_core, rated_at_least

LOG = "user_id,item_id,rating\nu,a,5\nu,b,3\nv,a,4\nv,b,\nw,c,1\nw,a,4\n"


def data_of(folder: Path, *, items: bool = False) -> Dataset:
    log, catalog = folder / "log.csv", folder / "items.csv"
    log.write_text(LOG)
    catalog.write_text("id,title\na,A\nb,B\nc,C\nd,D\n")
    return Dataset.load(interactions=log, items=catalog if items else None)


def test_lower_ratings_and_none_are_left_out(tmp_path: Path) -> None:
    kept = rated_at_least(data_of(tmp_path), 4)
    assert set(kept.interactions["user_id"]) == set("uvw")
    assert set(kept.interactions["item_id"]) == set(kept.items["item_id"]) == {"a"}
    assert rated_at_least(data_of(tmp_path, items=True), 4).items.height == 4
    with pytest.raises(DataError, match=r"rated 6 or higher \(5 events have a rating\)"):
        rated_at_least(data_of(tmp_path), 6)


def test_the_core_is_what_stays_when_filtering_changes_nothing(tmp_path: Path) -> None:
    core = k_core(data_of(tmp_path, items=True), 2)
    log = core.interactions
    assert set(log["user_id"]) == set("uv")  # c leaves, then w
    assert core.items["item_id"].to_list() == ["a", "b"]
    assert all(log[column].value_counts()["count"].min() >= 2 for column in ("user_id", "item_id"))
    assert k_core(core, 2).interactions.equals(log)
    with pytest.raises(DataError, match="there is no 4-core"):
        k_core(data_of(tmp_path), 4)
