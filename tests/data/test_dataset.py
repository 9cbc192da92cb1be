"""Files in: every format, every kind of bad row, nothing lost silently."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from rag_rec import ConfigError, DataError, Dataset

NULLS = {"null", "NULL", "None", "NaN"}
ITEMS = "item_id,title,price,categories\na,Kettle,$1,299.00,Tea|Pots\n"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load_items(
    tmp_path: Path, text: str | bytes, name: str = "items.csv", **options: object
) -> Dataset:
    options = {"rejects_file": tmp_path / "rejected.csv", **options}
    return Dataset.load(items=write(tmp_path / name, text), **options)  # type: ignore[arg-type]


def test_csv_jsonl_and_parquet_give_the_same_catalog(tmp_path: Path) -> None:
    rows = [
        {"item_id": "a", "title": 'Kettle "0.9"', "price": 12.5, "categories": ["Tea", "Pots"]},
        {"item_id": "b", "title": "Line\nbreak, comma", "price": None, "categories": []},
    ]
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "items.parquet")
    write(tmp_path / "items.jsonl", "\n".join(json.dumps(row) for row in rows))
    flat = frame.with_columns(pl.col("categories").list.join("|"))
    flat.write_csv(tmp_path / "items.csv")
    with gzip.open(tmp_path / "packed.csv.gz", "wb") as out:
        out.write((tmp_path / "items.csv").read_bytes())
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(tmp_path / "items.jsonl", "items.jsonl")
    write(tmp_path / "items.json", json.dumps(rows))
    write(
        tmp_path / "keyed.json",
        json.dumps(
            {row["item_id"]: {k: v for k, v in row.items() if k != "item_id"} for row in rows}
        ),
    )
    names = [
        "items.csv",
        "items.jsonl",
        "items.parquet",
        "packed.csv.gz",
        "packed.zip",
        "items.json",
        "keyed.json",
    ]
    catalogs = [Dataset.load(items=tmp_path / name).items for name in names]
    for catalog in catalogs:
        assert catalog.rows() == catalogs[0].rows()
    assert catalogs[0]["categories"].to_list() == [["Tea", "Pots"], []]
    assert catalogs[0]["price"].to_list() == [12.5, None]


@pytest.mark.parametrize(
    ("text", "field", "row"),
    [
        ('item_id,title\n"a","x\ny"\n"","z"\n', "item_id", 4),
        ("item_id,title\na,x\n\n\nb,y\na,z\n", "item_id", 6),
        ("item_id,title\na,x,surplus\n", "(row)", 2),
        (b"item_id,title\nb,caf\xc3\xa9\na,caf\xe9\n", "(row)", 3),
    ],
)
def test_a_bad_row_names_file_line_and_field(
    tmp_path: Path, text: str | bytes, field: str, row: int
) -> None:
    with pytest.raises(DataError) as caught:
        load_items(tmp_path, text)
    error = caught.value
    assert (error.path, error.field, error.row) == (tmp_path / "items.csv", field, row)
    assert "expected" in str(error)
    assert "--on-error=skip" in str(error)


@pytest.mark.parametrize(
    "line",
    [
        '{"item_id": "b"',
        "[1]",
        '{"item_id": NaN}x',
        '{"item_id": "\\ud800"}',
        '{"item_id": ""}',
        "null",
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, line: str) -> None:
    text = '{"item_id": "a"}\n\n' + line + '\n{"item_id": "c"}\n'
    with pytest.raises(DataError) as caught:
        load_items(tmp_path, text, "items.jsonl")
    assert caught.value.row == 3
    data = load_items(tmp_path, text, "items.jsonl", on_error="skip")
    assert data.items["item_id"].to_list() == ["a", "c"]
    assert data.rejected == 1


def test_skipped_rows_are_in_the_side_file_with_their_reason(tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "item_id,price\na,1\nb,cheap\nc,2\na,3\n")
    log = write(
        tmp_path / "log.csv", "user,item,time\nu,a,2024-01-02\nu,zz,3\nu,c,tomorrow\n,a,5\n"
    )
    side = tmp_path / "rejected.csv"
    data = Dataset.load(items=items, interactions=log, on_error="skip", rejects_file=side)
    rows = list(csv.DictReader(io.StringIO(side.read_text(encoding="utf-8"))))
    found = {(Path(r["file"]).name, int(r["row"]), r["field"], r["found"]) for r in rows}
    assert found == {
        ("items.csv", 5, "item_id", "a"),
        ("log.csv", 3, "item_id", "zz"),
        ("log.csv", 5, "user_id", ""),
    }
    assert data.rejected == 3
    assert data.interactions.rows() == [("u", "c", None, None), ("u", "a", 1704153600, None)]


def test_columns_can_be_named(tmp_path: Path) -> None:
    items = write(tmp_path / "items.csv", "code,label\na,Kettle\n")
    with pytest.raises(DataError, match=r"no column for item_id.*--columns items.item_id="):
        Dataset.load(items=items)
    data = Dataset.load(items=items, columns={"items": {"item_id": "code", "title": "label"}})
    assert data.items["title"].to_list() == ["Kettle"]
    with pytest.raises(DataError, match="not in the file"):
        Dataset.load(items=items, columns={"items": {"item_id": "nope"}})
    with pytest.raises(DataError, match="no such column to map"):
        Dataset.load(items=items, columns={"items": {"colour": "code"}})


def test_times_in_any_usual_form_become_seconds(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.csv",
        "user_id,item_id,timestamp\nu,a,1700000000\nu,b,1700000001000\nu,c,2023-11-14 22:13:22\n"
        "u,d,2023-11-14T22:13:23Z\nu,e,1700000004.0\nu,f,\n",
    )
    times = Dataset.load(interactions=log).interactions
    assert times.rows() == [
        ("u", "f", None, None),
        *(("u", item, 1700000000 + n, None) for n, item in enumerate("abcde")),
    ]


def test_ties_and_missing_times_keep_the_order_of_the_file(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.csv", "user_id,item_id\n" + "".join(f"u,{i}\n" for i in (9, 3, 7, 3))
    )
    assert Dataset.load(interactions=log).interactions["item_id"].to_list() == ["9", "3", "7", "3"]


def test_a_missing_or_unreadable_file_is_one_line(tmp_path: Path) -> None:
    for name, text, match in [
        ("none.csv", None, "no such file"),
        ("empty.csv", b"", "empty"),
        ("odd.xlsx", b"x", "cannot read files ending in"),
        ("broken.gz", b"not gzip", "cannot be unpacked"),
        ("broken.parquet", b"PAR1", "cannot be read as Parquet"),
        ("broken.json", b"[1, 2", "is not JSON"),
    ]:
        if text is not None:
            write(tmp_path / name, text)
        with pytest.raises(DataError, match=match) as caught:
            Dataset.load(items=tmp_path / name)
        assert "\n" not in str(caught.value)


def test_what_cannot_be_meant_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to read"):
        Dataset.load()
    with pytest.raises(ConfigError, match="unknown format"):
        Dataset.load(tmp_path, format="netflix")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs its review file"):
        Dataset.load(items=write(tmp_path / "i.json", "{}"), format="amazon")


def test_amazon_2014_python_literals(tmp_path: Path) -> None:
    items = write(
        tmp_path / "meta.json",
        "{'asin': 'B1', 'title': \"A 'quoted' kettle\", 'price': 12.5, "
        "'categories': [['Home', 'Tea']]}\n"
        "{'asin': 'B2', 'title': 'Cup', 'salesRank': {'Kitchen': 3}}\n",
    )
    reviews = write(
        tmp_path / "reviews.json",
        '{"reviewerID": "u1", "asin": "B1", "overall": 5.0, "summary": "Good", '
        '"reviewText": "Boils.", "unixReviewTime": 1390000000}\n',
    )
    data = Dataset.load(items=items, reviews=reviews, format="amazon")
    assert data.items["categories"].to_list() == [["Home", "Tea"], []]
    assert data.interactions.rows() == [("u1", "B1", 1390000000, 5.0)]
    assert next(data.reviews.frames())["text"].to_list() == ["Good. Boils."]


def test_amazon_2023_keys(tmp_path: Path) -> None:
    items = write(
        tmp_path / "meta.jsonl",
        '{"parent_asin": "P1", "title": "Kettle", "store": "Anna", "price": "from 12", '
        '"description": ["Two", "lines"], "categories": ["Tea"]}\n',
    )
    reviews = write(
        tmp_path / "reviews.jsonl",
        '{"rating": 4.0, "title": "Fine", "text": "", "asin": "A9", "parent_asin": "P1", '
        '"user_id": "u", "timestamp": 1588615855070}\n',
    )
    data = Dataset.load(items=items, reviews=reviews, format="amazon")
    assert data.items.select("item_id", "brand", "description", "price").rows() == [
        ("P1", "Anna", "Two\nlines", 12.0)
    ]
    assert data.interactions.rows() == [("u", "P1", 1588615855, 4.0)]


def test_recbole_and_sequences(tmp_path: Path) -> None:
    write(
        tmp_path / "shop.item", 'item_id:token\ttitle:token_seq\n0\tKettle, "big"\n1\tCup\n2\tPot\n'
    )
    write(
        tmp_path / "shop.inter",
        "user_id:token\titem_id_list:token_seq\titem_id:token\nu\t0\t1\nu\t0 1\t2\n",
    )
    data = Dataset.load(tmp_path, format="recbole")
    assert data.items["title"][0] == 'Kettle, "big"'
    assert data.interactions["item_id"].to_list() == ["0", "1", "2"]
    assert any("longest is used" in line for line in data.notices)
    lines = write(tmp_path / "seq.txt", "u 0 2 1\n\nv 2\n")
    items = write(tmp_path / "items.jsonl", "\n".join(json.dumps({"id": n}) for n in range(3)))
    data = Dataset.load(items=items, interactions=lines, format="sequences")
    assert data.interactions.select("user_id", "item_id").rows() == [
        ("u", "0"),
        ("u", "2"),
        ("u", "1"),
        ("v", "2"),
    ]
    with pytest.raises(DataError, match="a user and at least one item") as caught:
        Dataset.load(interactions=write(lines, "u 0\nv\n"), format="sequences")
    assert caught.value.row == 2


def test_digest_follows_content_only(tmp_path: Path) -> None:
    one = load_items(tmp_path, "item_id,title\na,x\nb,y\n").digest
    assert load_items(tmp_path, "title,item_id\nx,a\ny,b\n").digest == one
    assert load_items(tmp_path, "item_id,title\na,x\nb,z\n").digest != one


def test_csv_spectrum_reads_as_expected(data_folder: Path, tmp_path: Path) -> None:
    """Every well-formed file of csv-spectrum, with its first column as the id."""
    folder = data_folder / "hard_inputs"
    for path in sorted((folder / "csv").glob("*.csv")):
        text = (folder / "csv_expected" / f"{path.stem}.json").read_text()
        expected = json.loads(text.replace("\\r\\n", "\\n"))  # the CSV's line ends are plain here
        if path.stem == "location_coordinates":
            continue  # its expected values are of another file
        expected = expected if isinstance(expected, list) else [expected]
        first, *rest = expected[0]
        columns = {"items": {"item_id": first, **({"title": rest[0]} if rest else {})}}
        items = Dataset.load(items=path, columns=columns).items
        assert items["item_id"].to_list() == [row[first].strip() for row in expected], path.name
        if rest:
            assert items["title"].to_list() == [row[rest[0]] for row in expected], path.name


def test_a_document_of_the_json_torture_suite_costs_at_most_its_line(
    data_folder: Path, tmp_path: Path
) -> None:
    documents = sorted((data_folder / "hard_inputs" / "json").glob("*.json"))
    assert len(documents) > 200
    for document in documents:
        line = document.read_bytes().replace(b"\n", b" ").replace(b"\r", b" ")
        text = b'{"item_id": "a"}\n' + line + b'\n{"item_id": "c"}\n'
        data = load_items(tmp_path, text, "items.jsonl", on_error="skip")
        assert data.items["item_id"].to_list() == ["a", "c"], document.name
        assert data.rejected == bool(line.strip()), document.name


@pytest.mark.parametrize("name", ["items.json", "items.jsonl"])
def test_a_document_of_the_json_torture_suite_alone_is_named(
    name: str, data_folder: Path, tmp_path: Path
) -> None:
    catalogs = {"n_object_trailing_comma.json", "y_object_long_strings.json"}  # objects with an id
    for document in sorted((data_folder / "hard_inputs" / "json").glob("*.json")):
        try:
            data = load_items(tmp_path, document.read_bytes(), name, on_error="skip")
        except DataError as error:
            problem = error
        else:
            assert (document.name in catalogs, data.items.height) == (True, 1), document.name
            continue
        assert problem.path == tmp_path / name, document.name
        assert "\n" not in str(problem), document.name


def resolved(text: str) -> str:
    return re.sub(r"&#?\w+;", lambda entity: unescape(entity[0]), text)


def test_naughty_strings_survive_as_titles_and_ids(data_folder: Path, tmp_path: Path) -> None:
    strings = json.loads((data_folder / "hard_inputs" / "naughty_strings.json").read_text())
    rows = [{"item_id": f"i{n}", "title": text} for n, text in enumerate(strings)]
    path = write(
        tmp_path / "n.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    )
    expected = [
        "" if text in NULLS or not text.strip() else resolved(resolved(text)) for text in strings
    ]
    assert Dataset.load(items=path).items["title"].to_list() == expected
    ids = list(dict.fromkeys(text.strip() for text in strings if text.strip()))
    ids = [text for text in ids if text not in NULLS]
    path = write(tmp_path / "ids.jsonl", "\n".join(json.dumps({"item_id": text}) for text in ids))
    assert Dataset.load(items=path).items.height == len(ids)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"items": "beauty/items.jsonl", "interactions": "beauty/sequences.txt",
          "format": "sequences"}, (12_101, 22_363, 198_502, 0)),
        ({"items": "yelp/items.jsonl.gz", "interactions": "yelp/sequences.txt.gz",
          "format": "sequences"}, (20_033, 30_431, 316_354, 0)),
        ({"folder": "games", "format": "recbole"}, (16_859, 50_546, 440_264, 0)),
        ({"items": "industrial/items.json.gz", "interactions": "industrial/test.csv.gz"},
         (3_686, 1_987, 13_555, 0)),
        ({"folder": "movielens_small", "format": "movielens"}, (9_125, 671, 100_004, 1_296)),
        ({"items": "gift_cards/meta_Gift_Cards.json.gz",
          "reviews": "gift_cards/Gift_Cards_5.json.gz", "format": "amazon"},
         (1_547, 458, 2_972, 2_972)),
        ({"reviews": "musical_instruments/Musical_instruments_reviews.csv.zip",
          "format": "amazon"}, (900, 1_429, 10_261, 10_261)),
        ({"interactions": "uci_retail/transactions.csv.gz", "on_error": "skip"},
         (3_527, 3_658, 272_875, 0)),
        ({"items": "bundles/food/item_titles.csv", "interactions": "bundles/food/user_item.csv"},
         (3_767, 879, 6_395, 0)),
    ],
    ids=["beauty", "yelp", "games", "industrial", "movielens", "gift_cards", "instruments",
         "retail", "bundles"],
)  # fmt: skip
def test_real_data_sets_load_as_found(
    data_folder: Path, tmp_path: Path, options: dict[str, str], shape: tuple[int, ...]
) -> None:
    places = {"folder", "items", "reviews", "interactions"}
    paths = {
        name: data_folder / value if name in places else value for name, value in options.items()
    }
    data = Dataset.load(**paths, rejects_file=tmp_path / "r.csv")  # type: ignore[arg-type]
    found = (data.items.height, data.n_users, data.interactions.height, data.reviews.count)
    assert found == shape
