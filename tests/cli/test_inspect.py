"""`rag-rec inspect`, and what `rag-rec index` shows of the files it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rag_rec import ConfigError, DataError
from rag_rec.cli.app import app
from rag_rec.cli.inspect import by_table

ITEMS = 'product_id,product_title,price,colour\nb1,Nice [Pot],"169,06",red\nb2,Pan,dear,blue\n'


def run(*arguments: object, error: type[Exception] | None = None) -> Result:
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(part) for part in arguments])
    if error is None:
        assert done.exit_code == 0, done.output
    else:
        assert isinstance(done.exception, error)
    return done


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.csv"
    path.write_text(ITEMS)
    return path


def test_inspect_shows_each_column(items: Path) -> None:
    done = run("inspect", items)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines()]
    assert [row for row in rows if row] == [
        ["product_id", "item_id", "100%", "", "b1"],
        ["product_title", "title", "100%", "", "Nice [Pot]"],
        ["price", "price (comma)", "100%", "1, such as 'dear'", "169,06"],
        ["colour", "not read", "100%", "", "red"],
    ]
    assert "items.csv: 2 rows, read as items; between fields ," in done.stdout
    assert "price: decimal comma (another form: --read items.price=FORM)" in done.stderr


def test_inspect_takes_names_and_forms_and_writes_json(items: Path) -> None:
    options = ("--columns", "items.title=colour", "--read", "items.price=point", "--json")
    (document,) = json.loads(run("inspect", items, *options).stdout)
    read = {column["source"]: column["name"] for column in document["columns"]}
    assert read == {"product_id": "item_id", "product_title": "", "price": "price",
                    "colour": "title"}  # fmt: skip
    assert [c["unread"] for c in document["columns"] if c["name"] == "price"] == [2]
    assert document["table"] == "items"
    assert any("not read: product_title" in line for line in document["notices"])


def test_inspect_tells_tables_by_their_columns_unless_told(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id,comment\nu,a,fine\n")
    assert "read as reviews" in run("inspect", log).stdout
    assert "read as interactions" in run("inspect", log, "--as", "interactions").stdout


def test_inspect_of_a_file_without_ids_shows_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("code,headline\n1,x\n")
    assert "--columns items.item_id=THEIRS" in run("inspect", path).stderr


def test_index_shows_what_it_reads_and_stops_before_building(items: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user_id,product_id,visitTime\n1,b1,2020-01-01\n")
    out = tmp_path / "index"
    options = ("--items", items, "--interactions", log, "--out", out)
    done = run("index", *options, error=DataError)
    assert "--columns interactions.timestamp=visitTime" in str(done.exception)
    assert not out.exists()
    skipped = run("index", *options, "--columns", "interactions.timestamp=", "--max-rejected", 0,
                  "--on-error", "skip", "--rejects", tmp_path / "r.csv",
                  "--columns", "items.item_id=colour", error=DataError)  # fmt: skip
    assert "1 of 1 rows would be set aside" in str(skipped.exception)
    assert not out.exists()


@pytest.mark.parametrize("pair", ["title=x", "items.title", "goods.title=x", "items.=x"])
def test_a_pair_of_another_form_is_refused_with_the_form(pair: str) -> None:
    with pytest.raises(ConfigError, match=r"write it as TABLE.OURS=THEIRS, such as items.title="):
        by_table("--columns", [pair])
    with pytest.raises(ConfigError, match=r"write it as TABLE.OURS=FORM, such as items.price="):
        by_table("--read", [pair])


def test_pairs_by_table() -> None:
    pairs = ["items.title=a=b", "items.released=", "reviews.text=t"]
    assert by_table("--columns", pairs) == {
        "items": {"title": "a=b", "released": ""}, "reviews": {"text": "t"}
    }  # fmt: skip
