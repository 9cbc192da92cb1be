"""The order of rows: it knows events and texts, and nothing of ids and of the files' order."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import Dataset
from rag_rec.index.row_order import in_row_order

N = 8
LOGS = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=5), min_size=1, max_size=6)
IDS = st.permutations(range(N))


def ordered(rows: list[list[int]], names: list[int], titles: dict[int, str]) -> list[int]:
    """Return the items in the order of their rows, where item ``i`` is called ``names[i]``."""
    with tempfile.TemporaryDirectory() as folder:
        items, log = Path(folder) / "items.jsonl", Path(folder) / "log.csv"
        catalog = [{"item_id": f"i{names[i]}", "title": titles.get(i, "")} for i in range(N)]
        items.write_text("".join(json.dumps(row) + "\n" for row in sorted(catalog, key=str)))
        events = [f"u{user},i{names[i]}\n" for user, row in enumerate(rows) for i in row]
        log.write_text("user_id,item_id\n" + "".join(events))
        data = in_row_order(Dataset.load(items=items, interactions=log))
    called = {f"i{name}": i for i, name in enumerate(names)}
    return [called[item_id] for item_id in data.items["item_id"]]


@settings(deadline=None, max_examples=25)
@given(LOGS, IDS, IDS)
def test_renumbered_items_with_events_or_a_text_of_their_own_get_the_same_rows(
    rows: list[list[int]], one: list[int], other: list[int]
) -> None:
    silent = set(range(N)) - {item for row in rows for item in row}
    titles = {item: f"thing {item}" for item in silent}
    assert ordered(rows, one, titles) == ordered(rows, other, titles)


def test_the_order_of_rows_is_not_that_of_first_appearance() -> None:
    rows = [list(range(N))]
    found = ordered(rows, list(range(N)), {})
    assert sorted(found) == list(range(N))
    assert found not in (list(range(N)), list(range(N))[::-1])


def test_the_digest_of_data_does_not_depend_on_the_order_of_the_items(sample: Dataset) -> None:
    again = in_row_order(sample)
    assert not again.items.equals(sample.items)
    assert again.digest == sample.digest
