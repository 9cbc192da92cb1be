"""Files as people report them, each with what must come of it: one row a kind of report."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rag_rec.core import DataError
from rag_rec.data import Dataset


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


NAMED = "[{'id': 9, 'name': 'Animation'}, {'id': 8, 'name': 'Comedy'}]"

CATALOGS: dict[str, tuple[str, bytes, list[dict[str, Any]]]] = {
    "backslash before a quote": (
        "items.csv",
        b'item_id,title\na1,"a \\"fine\\" pot"\na2,"cup, blue"\n',
        [{"title": 'a "fine" pot'}, {"title": "cup, blue"}],
    ),
    "UTF-16 as Excel saves it": (
        "items.csv",
        "item_id\ttitle\na1\tThéière\n".encode("utf-16"),
        [{"item_id": "a1", "title": "Théière"}],
    ),
    "semicolons, cp1252, decimal comma": (
        "items.csv",
        "item_id;title;price\na1;Kännchen;1.299,00\na2;Tee;9,50\n".encode("cp1252"),
        [{"title": "Kännchen", "price": 1299.0}, {"price": 9.5}],
    ),
    "categories are objects in Python's writing": (
        "items.csv",
        f'id,title,genres\n1,Attic,"{NAMED}"\n'.encode(),
        [{"categories": ["Animation", "Comedy"]}],
    ),
    "an inch mark in a field without quotes": (
        "items.csv",
        b'item_id,title\na1,Pan 10"\na2,Pot\n',
        [{"title": 'Pan 10"'}, {"title": "Pot"}],
    ),
    "a dash for a price": (
        "items.csv",
        "item_id,title,price\na1,Pot,—\na2,Cup,3\n".encode(),
        [{"price": None}, {"price": 3.0}],
    ),
    "dates in words, and none yet": (
        "items.csv",
        b'item_id,title,release_date\na1,Tale,"Jul 12, 2018"\na2,Game,Coming soon\n',
        [{"released": date(2018, 7, 12)}, {"released": None}],
    ),
    "a datetime column of pandas": (
        "items.parquet",
        parquet(item_id=["a1"], title=["Tale"], released=[datetime(2020, 1, 2)]),  # noqa: DTZ001
        [{"released": date(2020, 1, 2)}],
    ),
    "NaN for a missing price": (
        "items.parquet",
        parquet(item_id=["a1", "a2"], title=["A", "B"], price=[1.5, float("nan")]),
        [{"price": 1.5}, {"price": None}],
    ),
    "names of columns in a shop's export": (
        "items.csv",
        b"product_id,product_title,product_category\nB1,Nice Pot,Kitchen\n",
        [{"item_id": "B1", "title": "Nice Pot", "categories": ["Kitchen"]}],
    ),
    "commas between categories": (
        "items.csv",
        b'item_id,title,categories\na1,A,"Restaurants, Noodles"\na2,B,"Noodles, Bars"\n',
        [{"categories": ["Restaurants", "Noodles"]}, {"categories": ["Noodles", "Bars"]}],
    ),
    "no genres": (
        "items.csv",
        b"item_id,title,genres\n1,A,Comedy|Drama\n2,B,(no genres listed)\n",
        [{"categories": ["Comedy", "Drama"]}, {"categories": []}],
    ),
    "a database's mark for null": (
        "items.tsv",
        b"item_id\ttitle\tgenres\ntt1\tOne\t\\N\ntt2\t\\N\tDrama\n",
        [{"categories": []}, {"title": ""}],
    ),
    "HTML entities": (
        "items.jsonl",
        b'{"item_id": "a1", "title": "Tom &amp; Jo&#39;s", "brand": "Black &amp; Decker"}\n',
        [{"title": "Tom & Jo's", "brand": "Black & Decker"}],
    ),
    "a column that nobody reads": (
        "items.parquet",
        parquet(item_id=["a1"], title=["A"], image=[b"\xff\x00"], shape=[[[1, 2], [3]]]),
        [{"title": "A"}],
    ),
    "quotes in a file with tabs": (
        "items.tsv",
        b'item_id\ttitle\na1\t"The ""Big"" Pot"\na2\t"Swing it" teacher\n',
        [{"title": 'The "Big" Pot'}, {"title": '"Swing it" teacher'}],
    ),
    "a zip from a Mac": (
        "items.zip",
        zipped({"items.csv": "item_id,title\na1,Pot\n", "__MACOSX/._items.csv": "\x00\x05"}),
        [{"title": "Pot"}],
    ),
    "joiners of Persian and of an emoji": (
        "items.jsonl",
        '{"item_id": "a1", "title": "می\u200cخواهم 👩\u200d👧"}\n'.encode(),
        [{"title": "می\u200cخواهم 👩\u200d👧"}],
    ),
}


@pytest.mark.parametrize("name", CATALOGS)
def test_a_catalog_as_reported(name: str, tmp_path: Path) -> None:
    file, content, wanted = CATALOGS[name]
    (tmp_path / file).write_bytes(content)
    rows = Dataset.load(items=tmp_path / file).items.to_dicts()
    assert len(rows) == len(wanted)
    for row, values in zip(rows, wanted, strict=True):
        assert {field: row[field] for field in values} == values


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "an id in a calculator's writing, twice": (
        "items.csv",
        b"item_id,title\n1.23457E+12,A\n1.23457E+12,B\n",
        r"items\.csv:3: .*1\.23457E\+12",
    ),
    "a row that is too short": (
        "items.csv",
        b"item_id,title,price\na1,Pot,3\na2\n",
        r"items\.csv:3: ",
    ),
    "keys that are not known": (
        "items.jsonl",
        b'{"code": "a", "headline": "x"}\n',
        "the file has code, headline",
    ),
    "a damaged archive": (
        "items.csv.gz",
        gzip.compress(b"item_id\na1\n" * 99, mtime=0)[:-20],
        "items.csv",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_catalog_that_is_refused_says_where(name: str, tmp_path: Path) -> None:
    file, content, message = REFUSED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        Dataset.load(items=tmp_path / file)
    assert "\n" not in str(caught.value)


LOGS: dict[str, tuple[bytes, list[tuple[str, int | None]]]] = {
    "a blank after the time": (
        b"favori,UserId,ItemId,Timestamp\nx,u,a1,2022-06-24 21:20:11 \n",
        [("a1", 1656105611)],
    ),
    "neighbouring seconds as floats": (
        b"user_id,item_id,timestamp\nu,a2,978302040.0\nu,a1,978302039.0\n",
        [("a1", 978302039), ("a2", 978302040)],
    ),
    "times under another name order the log": (
        (
            b"event_time,product_id,user_id\n"
            b"2019-10-02 00:00:00 UTC,a1,u\n2019-10-01 00:00:00 UTC,a2,u\n"
        ),
        [("a2", 1569888000), ("a1", 1569974400)],
    ),
    "milliseconds": (b"user_id,item_id,timestamp\nu,a1,1588687728923\n", [("a1", 1588687728)]),
    "a zone": (
        b"user_id,item_id,timestamp\nu,a1,2024-05-01T12:00:00.250+02:00\n",
        [("a1", 1714557600)],
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_as_reported(name: str, tmp_path: Path) -> None:
    content, wanted = LOGS[name]
    (tmp_path / "log.csv").write_bytes(content)
    events = Dataset.load(interactions=tmp_path / "log.csv").interactions
    assert list(events.select("item_id", "timestamp").iter_rows()) == wanted


def test_films_of_the_1m_files(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_bytes("1::Café (1995)::Drama|Comedy\n".encode("latin-1"))
    (tmp_path / "ratings.dat").write_bytes(b"7::1::5::978300760\n")
    data = Dataset.load(tmp_path, format="movielens")
    assert data.items["title"].to_list() == ["Café (1995)"]
    assert data.items["categories"].to_list() == [["Drama", "Comedy"]]
    assert data.interactions["user_id"].to_list() == ["7"]


def test_a_folder_of_parts(tmp_path: Path) -> None:
    parts = tmp_path / "items.parquet"
    parts.mkdir()
    (parts / "part-0.parquet").write_bytes(parquet(item_id=["a1"], title=["A"]))
    (parts / "part-1.parquet").write_bytes(parquet(item_id=["a2"], title=["B"]))
    (parts / "_SUCCESS").write_bytes(b"")
    assert Dataset.load(items=parts).items["item_id"].to_list() == ["a1", "a2"]


def test_columns_by_number_where_there_is_no_header(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("u1,a1,5.0,1369699200\nu2,a2,3.0,1369699300\n")
    named = {"user_id": "column 1", "item_id": "column 2", "timestamp": "column 4"}
    events = Dataset.load(interactions=log, columns={"interactions": named}).interactions
    assert events["item_id"].to_list() == ["a1", "a2"]
