"""One hostile value anywhere in a table costs at most its own row."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest
from hostile import JSON, TEXTS, is_done_or_refused
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import Dataset

ROWS = {
    "items": {
        "item_id": "i{}", "title": "Thing {}", "description": "A thing", "brand": "Acme",
        "price": "12.50", "categories": '["Tea","Pots"]', "released": "2020-05-0{}",
        "in_stock": "true",
    },
    "interactions": {
        "user_id": "u{}", "item_id": "i{}", "timestamp": "170000000{}", "rating": "4",
    },
    "reviews": {
        "review_id": "r{}", "item_id": "i{}", "user_id": "u{}", "text": "Nice thing",
        "rating": "4", "timestamp": "170000000{}",
    },
}  # fmt: skip
IDS = {f"i{n}" for n in range(1, 9)}
ENDINGS = [".csv", ".tsv", ".jsonl", ".json", ".parquet"]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".parquet":
            text = [{k: v.encode("utf-8", "replace").decode() for k, v in r.items()} for r in rows]
            pl.DataFrame(text).write_parquet(path)
        case ending:
            with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
                delimiter = "\t" if ending == ".tsv" else ","
                writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
                writer.writeheader()
                writer.writerows(rows)
    return path


def good_rows(table: str) -> list[dict[str, str]]:
    row = ROWS[table]
    return [{k: v.replace("{}", str(n)) for k, v in row.items()} for n in range(1, 9)]


def read(folder: Path, table: str, path: Path) -> set[str]:
    """Return the item ids that were read."""
    files = {"items": write(folder / "catalog.jsonl", good_rows("items")), table: path}
    side = folder / "rejected.csv"
    data = Dataset.load(**files, on_error="skip", rejects_file=side, max_rejected=1)
    if table == "reviews":
        return {item for frame in data.reviews.frames() for item in frame["item_id"]}
    return set((data.items if table == "items" else data.interactions)["item_id"])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("table", ROWS)
def test_no_value_costs_another_row(table: str, ending: str, tmp_path: Path) -> None:
    for column in ROWS[table]:
        hostile = [good_rows(table)[3] | {column: text} for text in TEXTS.values()]
        rows = [*good_rows(table)[:4], *hostile, *good_rows(table)[4:]]
        found = read(tmp_path, table, write(tmp_path / f"{table}{ending}", rows))
        assert found >= IDS, column


@pytest.mark.parametrize("table", ROWS)
def test_no_json_value_costs_another_row(table: str, tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in good_rows(table)]
    for column in ROWS[table]:
        row = json.dumps({**good_rows(table)[3], column: "VALUE"})
        hostile = [row.replace('"VALUE"', value) for value in JSON.values()]
        path = tmp_path / f"{table}.jsonl"
        path.write_text("\n".join([*lines[:4], *hostile, *lines[4:]]) + "\n")
        assert read(tmp_path, table, path) >= IDS, column


@pytest.mark.parametrize("kind", JSON)
def test_a_document_that_is_no_table_is_done_or_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    path.write_text(JSON[kind])
    assert is_done_or_refused(lambda: Dataset.load(items=path))


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60) | st.text("[]{}()'\"\\,:-1e.ud8", max_size=60))
def test_no_text_in_a_list_or_a_date_stops_a_catalog(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    rows = good_rows("items")
    rows[3] |= dict.fromkeys(("categories", "released", "price", "description", "brand"), text)
    found = read(folder, "items", write(folder / "items.jsonl", rows))
    assert found >= IDS - {"i4"}
