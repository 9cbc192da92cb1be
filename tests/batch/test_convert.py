"""Records as other files: Parquet for programs, CSV that is safe in a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from batch_tools import lines_of, run_batch, settings_for, write_users

from rag_rec import ConfigError, DataError
from rag_rec.batch.store.convert import convert
from rag_rec.core import safe_cell

HISTORIES = [{"user_id": f"u{i}", "history": [f"tea-{1 + i % 30:03d}"]} for i in range(40)]


def test_records_as_parquet_and_csv(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", [*HISTORIES, {"user_id": "=1+1", "history": []}])
    out = tmp_path / "recs.jsonl"
    run_batch(hash_index_folder, users, out, settings_for(None))
    records = {record["custom_id"]: record for record in lines_of(out)}
    assert convert(out, tmp_path / "recs.parquet") == 41
    frame = pl.read_parquet(tmp_path / "recs.parquet")
    for row in frame.iter_rows(named=True):
        record = records[row["custom_id"]]
        assert [slot["item_id"] for slot in row["items"]] == [
            slot["item_id"] for slot in record["items"]
        ]
        assert {s["source"]: s["rank"] for s in row["items"][0]["sources"]} == record["items"][0][
            "sources"
        ]
        assert row["usage"] == record["usage"]
    assert convert(out, tmp_path / "recs.csv") == 41
    with (tmp_path / "recs.csv").open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 41 * 3
    assert {row["custom_id"] for row in rows} == {"'=1+1", *records} - {"=1+1"}
    with pytest.raises(ConfigError, match=r"must end in \.parquet or \.csv"):
        convert(out, tmp_path / "recs.xlsx")
    with pytest.raises(DataError, match=r"users\.jsonl:1: is not a record"):
        convert(users, tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"users\.jsonl:1: is not a record"):
        convert(users, tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("text", ["=A1", "+1", "-1", "@x", " =1", "＝1"])
def test_a_spreadsheet_executes_nothing(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
