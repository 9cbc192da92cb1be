"""Reports on files: nothing is dropped, emptied or set aside without a word."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_rec import ConfigError, DataError, Dataset
from rag_rec.data import Choices, inspect_file


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_an_unreadable_optional_value_costs_no_row(tmp_path: Path) -> None:
    items = write(
        tmp_path / "items.csv",
        "item_id,title,price,release_date,stock,subtitle\n"
        "a,Kettle,—,Coming soon,3,x\nb,Cup,cheap,1999,0,y\nc,Pot,free,2019-02-30,,z\n",
    )
    data = Dataset.load(items=items)
    assert data.rejected == 0
    assert data.items["price"].to_list() == [None, None, 0]
    assert data.items["released"].dt.year().to_list() == [None, 1999, None]
    assert data.items["in_stock"].to_list() == [True, False, True]
    for line in [
        "items.csv: not read: subtitle",
        "items.csv: price: 1 × '—' or the like for a missing value",
        "items.csv: price: 1 of 3 values cannot be read and are left empty, such as 'cheap'",
        "items.csv: released: 2 of 3 values cannot be read and are left empty, such as 'Coming",
    ]:
        assert any(notice.startswith(line) for notice in data.notices), line


def test_times_that_cannot_be_read_leave_the_order_of_the_file(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user_id,item_id,date\nu,b,soon\nu,a,later\n")
    data = Dataset.load(interactions=log)
    assert data.interactions["item_id"].to_list() == ["b", "a"]
    assert any("2 of 2 values cannot be read" in line for line in data.notices)


def test_a_form_can_be_overridden(tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", 'item_id,price,category\na,"1,234","Tea, black"\n')
    data = Dataset.load(items=items)
    assert (data.items["price"][0], data.items["categories"][0].to_list()) == (
        1234,
        ["Tea", "black"],
    )
    assert any("a guess; the other is comma" in line for line in data.notices)
    forms = {"items": {"price": "comma", "categories": "whole"}}
    data = Dataset.load(items=items, forms=forms)
    assert (data.items["price"][0], data.items["categories"][0].to_list()) == (
        1.234,
        ["Tea, black"],
    )
    with pytest.raises(ConfigError, match=r"no form 'dot' of a price.*use point or comma"):
        Dataset.load(items=items, forms={"items": {"price": "dot"}})


def test_a_column_keeps_its_form_across_parts_of_a_large_file(tmp_path: Path) -> None:
    rows = "".join(f"i{n};1,234;{n % 28 + 1}/01/2020\n" for n in range(60_000))
    items = write(tmp_path / "items.csv", f"item_id;price;released\n{rows}z;0,5;1/01/2020\n")
    data = Dataset.load(items=items)
    assert data.items["price"].unique().sort().to_list() == [0.5, 1.234]
    assert data.items["released"].dt.month().unique().to_list() == [1]


def test_words_between_spaces_in_recbole_files(tmp_path: Path) -> None:
    items = write(
        tmp_path / "x.item",
        "item_id:token\ttitle:token_seq\tgenre:token_seq\n1\tA tale\tAction Drama\n",
    )
    assert Dataset.load(items=items).items["categories"][0].to_list() == ["Action", "Drama"]


def test_dates_of_pandas_and_nan_in_parquet(tmp_path: Path) -> None:
    days = pl.from_epoch(pl.Series("released", [1577923200, -315619200]))
    frame = pl.DataFrame({"item_id": ["a", "b"], "price": [1.5, float("nan")], "released": days})
    frame.write_parquet(tmp_path / "items.parquet")
    data = Dataset.load(items=tmp_path / "items.parquet")
    assert data.items["price"].to_list() == [1.5, None]
    assert data.items["released"].cast(pl.String).to_list() == ["2020-01-02", "1960-01-01"]


# --- rows set aside -------------------------------------------------------------------------------


def shop(tmp_path: Path, n_bad: int, n_rows: int = 10) -> dict[str, Path]:
    items = "".join(f"{'' if n < n_bad else n},t\n" for n in range(n_rows))
    return {"items": write(tmp_path / "items.csv", "item_id,title\n" + items)}


@pytest.mark.parametrize(
    ("n_bad", "most", "stops"),
    [(5, 0.5, False), (6, 0.5, True), (2, 0.1, True), (9, 1.0, False), (10, 1.0, True)],
)
def test_too_many_rows_set_aside_are_a_failure(
    tmp_path: Path, n_bad: int, most: float, *, stops: bool
) -> None:
    files = shop(tmp_path, n_bad)
    options = {"on_error": "skip", "rejects_file": tmp_path / "r.csv", "max_rejected": most}
    if not stops:
        data = Dataset.load(**files, **options)  # type: ignore[arg-type]
        assert data.rejected == n_bad
        expected = f"items.csv: {n_bad} rows set aside, item_id: expected a non-empty id, found ''"
        assert expected in data.notices
        return
    with pytest.raises(DataError, match=r"set aside|no items"):
        Dataset.load(**files, **options)  # type: ignore[arg-type]


def test_a_log_of_unknown_items_is_a_failure_with_a_count_for_each_reason(tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "item_id,title\na,x\n")
    log = write(tmp_path / "log.csv", "user_id,item_id\nu,b\nv,c\n,a\nw,a,surplus\n")
    with pytest.raises(DataError, match="4 of 4 rows would be set aside") as caught:
        Dataset.load(
            items=items, interactions=log, on_error="skip", rejects_file=tmp_path / "r.csv"
        )
    message = str(caught.value)
    assert "2 rows set aside, item_id: expected an id of the catalog, found 'b'" in message
    assert "1 rows set aside, user_id: expected a non-empty id, found ''" in message
    assert "1 rows set aside, expected 2 fields" in message


# --- looking at a file ----------------------------------------------------------------------------


def test_inspection_says_what_each_column_is_read_as(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.csv",
        "event_time,product_id,user_id,note\n"
        "16.05.2026 03:06,1,7,x\n01.02.2026 10:00,2,,\nsoon,3,8,\n",
    )
    report, notices = inspect_file(log)
    assert (report.table, report.rows) == ("interactions", 3)
    rows = [(c.source, c.name, c.form, c.filled, c.unread, c.sample) for c in report.columns]
    assert rows == [
        ("event_time", "timestamp", "day-first", 3, 1, "16.05.2026 03:06"),
        ("product_id", "item_id", "", 3, 0, "1"),
        ("user_id", "user_id", "", 2, 0, "7"),
        ("note", "", "", 1, 0, "x"),
    ]
    assert "log.csv: not read: note" in notices


def test_inspection_of_a_file_that_cannot_be_indexed_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", "code,headline\n1,Tea\n")
    report, notices = inspect_file(path, table="items")
    assert [(column.source, column.name) for column in report.columns] == [
        ("code", ""), ("headline", ""),
    ]  # fmt: skip
    assert "an index would stop here" in notices[-1]
    choices = {"items": Choices({"item_id": "code", "title": "headline"})}
    report, notices = inspect_file(path, table="items", choices=choices)
    assert [column.name for column in report.columns] == ["item_id", "title"]
    assert notices == []


CELLS = st.text("abc019.,-—€ ", max_size=5) | st.sampled_from(["NULL", "2020-01-02", "yes", ""])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6))
def test_every_value_is_read_missing_or_counted(
    tmp_path: Path, rows: list[tuple[str, str, str]]
) -> None:
    frame = pl.DataFrame(rows, ["price", "released", "in_stock"], orient="row")
    numbered = frame.with_row_index("item_id")
    numbered.write_csv(tmp_path / "items.csv", quote_style="always")
    data = Dataset.load(items=tmp_path / "items.csv")
    assert data.items.height == len(rows)
    for column in data.reports[0].columns:
        if column.name not in {"price", "released"}:
            continue
        n_read = len(rows) - data.items[column.name].null_count()
        assert column.filled == n_read + column.gaps + column.unread
