"""Files as people have them: every kind is read as it is meant, or its line is named."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import zipfile
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import DataError, Dataset
from rag_rec.data import LINE, Rejects
from rag_rec.data.inspection import inspect_file
from rag_rec.data.readers.rows import read_chunks


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def load(path: Path, **options: object) -> Dataset:
    options = {"rejects_file": path.parent / "rejected.csv", "max_rejected": 1, **options}
    return Dataset.load(items=path, **options)  # type: ignore[arg-type]


def titles(path: Path, **options: object) -> dict[str, str]:
    return dict(load(path, **options).items.select("item_id", "title").rows())


def read(path: Path, names: Collection[str] | None = None) -> pl.DataFrame:
    wanted = None if names is None else names.__contains__
    return pl.concat(read_chunks(path, rejects=Rejects("stop", None), wanted=wanted))


# Delimited text


@pytest.mark.parametrize(
    ("row", "title"),
    [
        (r'"a","pot with \" one quote"', 'pot with " one quote'),
        (r'"a","\"Big\" pot, red"', '"Big" pot, red'),
        (r'"a","ends with 10\""', 'ends with 10"'),
        (r'"a","C:\pots\"', "C:\\pots\\"),
        ('a,Pan 10"', 'Pan 10"'),
        ('a,"10" pan, 5" lid"', '10" pan, 5" lid'),
        ('a,"Swing it" teacher', '"Swing it" teacher'),
        ('a,"The ""Big"" pot"', 'The "Big" pot'),
        ('a, "Pot, big"', "Pot, big"),
        ('a,"two\nlines, one pot"', "two\nlines, one pot"),
        ('a,"say ""hi""\nand, then"', 'say "hi"\nand, then'),
        (r'"a","say \"hi\"' + '\nand \\"ho\\", then"', 'say "hi"\nand "ho", then'),
        ('a,""', ""),
        ("a,'Pot'", "'Pot'"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_quotes_are_read_as_they_are_meant(
    row: str, title: str, delimiter: str, tmp_path: Path
) -> None:
    row, title = row.replace(", ", "\x00"), title.replace(", ", f"{delimiter} ")
    row = row.replace(",", delimiter).replace("\x00", f"{delimiter} ")
    head = delimiter.join(("item_id", "title"))
    text = f"{head}\nfirst{delimiter}Pot\n{row}\nlast{delimiter}Cup\n"
    assert titles(write(tmp_path / "items.csv", text)) == {
        "first": "Pot", "a": title, "last": "Cup",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("a", "a"),
        ("a,Pot", "a,Pot"),
        ("a,Pot,3,4", "a,Pot,3,4"),
        ('a,"Pot,3', 'a,"Pot,3'),
        ('"a,Pot",3', '"a,Pot",3'),
    ],
)
def test_a_row_without_the_fields_of_the_header_is_named(
    row: str, found: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "items.csv", f"item_id,title,price\nx,Cup,1\n{row}\ny,Pan,2\n")
    with pytest.raises(DataError, match="expected 3 fields as in the header") as caught:
        load(path)
    assert caught.value.row == 3
    assert titles(path, on_error="skip") == {"x": "Cup", "y": "Pan"}
    side = (tmp_path / "rejected.csv").read_text()
    assert next(csv.DictReader(io.StringIO(side)))["found"] == found


def test_two_stray_quotes_do_not_join_rows(tmp_path: Path) -> None:
    text = 'item_id,title,price\nb1,"Pan,3\nb2,Pot",4\nb3,Cup,5\n'
    data = load(write(tmp_path / "items.csv", text), on_error="skip")
    assert data.items["item_id"].to_list() == ["b2", "b3"]
    assert data.rejected == 1


def test_a_field_over_lines_that_could_be_rows_is_remarked(tmp_path: Path) -> None:
    data = load(write(tmp_path / "items.csv", 'item_id,title\nb1,"Pan\npot, small"\n'))
    assert data.items["title"].to_list() == ["Pan\npot, small"]
    assert any("1 quoted fields over lines" in line for line in data.notices)


def test_rows_without_values_are_counted(tmp_path: Path) -> None:
    data = load(write(tmp_path / "items.csv", "item_id,title\na,Pot\n,\n\n , \nb,Cup\n"))
    assert data.items["item_id"].to_list() == ["a", "b"]
    assert data.notices == ["items.csv: 2 rows without any value left out"]


# a backslash before a quote has two meanings: see `test_quotes_are_read_as_they_are_meant`
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\\x00"), max_size=12)
HARD = st.text(alphabet="\",; \n'a", max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL | HARD, CELL | HARD), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_the_csv_module_writes_is_read_back(
    rows: list[tuple[str, str]], delimiter: str, quoting: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    rows = [tuple(cell.replace("\r", " ") for cell in row) for row in rows]  # type: ignore[misc]
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
        writer.writerows(
            [("key", "left", "right"), *((f"k{n}", *row) for n, row in enumerate(rows))]
        )
    assert read(path).drop(LINE).rows() == [(f"k{n}", *row) for n, row in enumerate(rows)]


def test_chunks_do_not_cut_records_and_number_their_lines(tmp_path: Path) -> None:
    n = 120_001
    lines = [f"{i},Pot {i}" if i % 30_000 else f'{i},"Pot\n{i}"' for i in range(n)]
    frame = read(write(tmp_path / "x.csv", "item_id,title\n" + "\n".join(lines)))
    assert frame.height == n
    assert frame["title"][60_000] == "Pot\n60000"
    before = [
        sum(1 for other in (0, 30_000, 60_000, 90_000, 120_000) if other < i) for i in (1, n - 1)
    ]
    assert [frame[LINE][1], frame[LINE][-1]] == [3 + before[0] - 0, n + 1 + before[1]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "::"])
@pytest.mark.parametrize("name", ["items.csv", "items.tsv", "items.txt", "items.dat"])
def test_separators_are_recognised_under_any_ending(
    delimiter: str, name: str, tmp_path: Path
) -> None:
    rows = (("item_id", "title", "price"), ("a", "Pot", "12.50"))
    path = write(tmp_path / name, "\n".join(map(delimiter.join, rows)))
    assert load(path).items.select("item_id", "title", "price").rows() == [("a", "Pot", 12.5)]


def test_a_file_without_a_header_is_read_by_column_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "u1,a1,5.0,1369699200\nu2,a2,3.0,1369699300\n")
    names = {"user_id": 1, "item_id": 2, "rating": 3, "timestamp": 4}
    columns = {"interactions": {ours: f"column {n}" for ours, n in names.items()}}
    log = Dataset.load(interactions=path, columns=columns).interactions
    assert log.rows() == [("u1", "a1", 1369699200, 5.0), ("u2", "a2", 1369699300, 3.0)]
    with pytest.raises(DataError, match=r"no column for user_id; the file has u1, a1, 5\.0"):
        Dataset.load(interactions=path)


def test_the_separator_line_of_excel_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", "sep=;\r\nitem_id;title\r\na;Pot\r\nb\r\n")
    assert titles(path, on_error="skip") == {"a": "Pot"}
    assert "items.csv,4,(row)" in (tmp_path / "rejected.csv").read_text()


def test_names_that_occur_twice_matter_only_where_they_are_used(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", "item_id,x,x,title,\na,1,2,Pot,3\n")
    assert titles(path) == {"a": "Pot"}
    with pytest.raises(DataError, match="column 'title' is named twice"):
        load(write(tmp_path / "items.csv", "item_id,title,title\na,Pot,Cup\n"))


# Encodings


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("name", ["items.csv", "items.jsonl", "items.json"])
def test_encodings_are_recognised_and_said(encoding: str, name: str, tmp_path: Path) -> None:
    rows = [{"item_id": "a1", "title": "Café – “L’été”"}, {"item_id": "a2", "title": "Größe"}]
    text = {
        "items.csv": "item_id,title\n" + "".join(f"{r['item_id']},{r['title']}\n" for r in rows),
        "items.jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
        "items.json": json.dumps(rows, ensure_ascii=False, indent=1),
    }[name]
    data = load(write(tmp_path / name, text.encode(encoding)))
    assert data.items.select("item_id", "title").rows() == [tuple(row.values()) for row in rows]
    said = [] if "utf-8" in encoding else [f"{name}: is not UTF-8, read as {encoding}"]
    assert [line.split(";")[0] for line in data.notices] == said


@pytest.mark.parametrize("encoding", ["cp1251", "gb18030", "shift_jis", "euc_kr"])
def test_other_alphabets_in_old_encodings_are_named_not_guessed(
    encoding: str, tmp_path: Path
) -> None:
    title = {
        "cp1251": "Чайник зелёный", "gb18030": "绿茶茶壶", "shift_jis": "南部鉄器の急須",
        "euc_kr": "녹차 주전자",
    }[encoding]  # fmt: skip
    path = write(tmp_path / "items.csv", f"item_id,title\na1,{title}\n".encode(encoding))
    with pytest.raises(DataError, match="UTF-8 text") as caught:
        load(path)
    assert caught.value.row == 2


def test_a_damaged_line_of_utf8_costs_itself(tmp_path: Path) -> None:
    content = "item_id,title\na,Café\nb,Größe\n".encode() + b"c,caf\xe9\n" + "d,Nuß\n".encode()
    data = load(write(tmp_path / "items.csv", content), on_error="skip")
    assert data.items["item_id"].to_list() == ["a", "b", "d"]
    assert data.rejected == 1


def test_damage_in_utf16_is_named(tmp_path: Path) -> None:
    content = bytearray("item_id,title\na,Pot\nb,Cup\nc,Pan\n".encode("utf-16-le"))
    at = bytes(content).index("Cup".encode("utf-16-le"))
    content[at + 1] = 0xDC  # half of a pair
    data = load(write(tmp_path / "items.csv", bytes(content)), on_error="skip")
    assert data.items["item_id"].to_list() == ["a", "c"]
    assert data.rejected == 1


def test_line_ends_of_old_macs(tmp_path: Path) -> None:
    assert titles(write(tmp_path / "i.csv", "item_id,title\ra,Pot\rb,Cup\r")) == {
        "a": "Pot", "b": "Cup",
    }  # fmt: skip


# Packed files and folders

CSV = b"item_id,title\na,Pot\nb,Cup\n"


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_zip_of_a_mac_is_read(tmp_path: Path) -> None:
    members = {
        "shop/items.csv": CSV, "__MACOSX/shop/._items.csv": b"\x00\x05", "shop/.DS_Store": b"\x00",
    }  # fmt: skip
    assert titles(write(tmp_path / "items.zip", zipped(**members))) == {"a": "Pot", "b": "Cup"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", gzip.compress(CSV, mtime=0)),
        ("items.csv", zipped(**{"items.csv": CSV})),
        ("items.csv.gz", zipped(**{"items.csv": CSV})),
        ("items.CSV.GZ", gzip.compress(CSV, mtime=0)),
        ("items.zip", gzip.compress(CSV, mtime=0)),
    ],
)
def test_packed_files_are_known_by_their_first_bytes(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / name, content)
    if name == "items.zip":  # nothing says that a table is in it
        with pytest.raises(DataError, match="cannot read files ending in"):
            load(path)
    else:
        assert titles(path) == {"a": "Pot", "b": "Cup"}


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("items.csv.gz", gzip.compress(CSV * 500, mtime=0)[:60], "cannot be unpacked"),
        ("items.csv.gz", gzip.compress(CSV, mtime=0)[:-6] + b"\x00" * 6, "cannot be unpacked"),
        ("items.csv.gz", gzip.compress(CSV, mtime=0)[:10] + b"\xff" * 60, "cannot be unpacked"),
        ("items.csv.gz", CSV, "is no .gz file"),
        ("items.csv.zst", CSV, "is no .zst file"),
        ("items.csv.zst", b"\x28\xb5\x2f\xfd\x00\x00", "use gzip or zip"),
        ("items.csv", b"\x28\xb5\x2f\xfd\x00\x00", "use gzip or zip"),
        ("items.zip", zipped(**{"items.csv": CSV * 500})[:90], "cannot be unpacked"),
        ("items.zip", zipped(**{"a.csv": CSV, "b.csv": CSV}), "has 2: a.csv, b.csv"),
        ("items.zip", zipped(**{".DS_Store": CSV}), "has 0"),
        ("items.csv", zipped(**{"[Content_Types].xml": b"", "xl/a.xml": b""}), "office document"),
        ("items.parquet", CSV, "cannot be read as Parquet"),
        ("items.csv", b"", "the file is empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    name: str, content: bytes, match: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=match) as caught:
        load(write(tmp_path / name, content))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_under_another_name(tmp_path: Path) -> None:
    pl.DataFrame({"item_id": ["a"], "title": ["Pot"]}).write_parquet(tmp_path / "items.csv")
    assert titles(tmp_path / "items.csv") == {"a": "Pot"}


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "json"])
def test_a_folder_of_parts_is_one_file(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "items"
    folder.mkdir()
    write(folder / "_SUCCESS", b"")
    write(folder / f".part-00000.{kind}.crc", b"crc")
    for n in range(3):
        part = pl.DataFrame({"item_id": [f"a{n}", f"b{n}"], "title": ["Pot", "Cup"]})
        name = folder / f"part-0000{n}.{kind}"
        match kind:
            case "parquet":
                part.write_parquet(name)
            case "json":
                part.write_ndjson(name)
            case _:
                write(name, gzip.compress(part.write_csv().encode())) if kind == "csv.gz" else (
                    part.write_csv(name)
                )
    data = load(folder)
    assert data.items["item_id"].to_list() == ["a0", "b0", "a1", "b1", "a2", "b2"]
    (folder / "category=tea").mkdir()
    write(folder / "category=tea" / "part-00000.csv", CSV)
    with pytest.raises(DataError, match="holds folders, such as category=tea"):
        load(folder)


def test_rows_lost_in_parts_count_for_the_folder(tmp_path: Path) -> None:
    for n in range(2):
        write(tmp_path / f"part-{n}.csv", f"item_id,title\na{n},Pot\nb,c,d\ne,f,g\n")
    with pytest.raises(DataError, match="4 of 6 rows would be set aside"):
        load(tmp_path, on_error="skip", max_rejected=0.5)
    assert load(tmp_path, on_error="skip").items["item_id"].to_list() == ["a0", "a1"]


def test_a_folder_without_parts_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no files"):
        load(tmp_path)


# JSON


@pytest.mark.parametrize(
    "document",
    [
        '{"items": [{"item_id": "a", "title": "Pot"}]}',
        '{"total": 1, "page": 1, "results": [{"item_id": "a", "title": "Pot"}], "next": null}',
        '{"data": {"items": [{"item_id": "a", "title": "Pot"}]}}',
        '{\n "items": [\n  {"item_id": "a", "title": "Pot"}\n ]\n}\n',
    ],
)
def test_a_table_in_a_json_wrapper_is_found_and_said(document: str, tmp_path: Path) -> None:
    data = load(write(tmp_path / "items.json", document))
    assert data.items.select("item_id", "title").rows() == [("a", "Pot")]
    assert ["the rows are those under" in line for line in data.notices] == [True]


def test_several_tables_in_a_json_file_are_named(tmp_path: Path) -> None:
    text = '{"items": [{"item_id": "a"}], "users": [{"id": "u"}]}'
    with pytest.raises(DataError, match="tables under items, users"):
        load(write(tmp_path / "items.json", text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("items.jsonl", '{"code": "a", "headline": "x", "more": {"id2": 1}}\n'),
        ("items.json", '[{"code": "a", "headline": "x", "more": 1}]'),
        ("items.json", '{"items": [{"code": "a", "headline": "x", "more": []}]}'),
    ],
)
def test_unknown_keys_are_listed(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file has code, headline, more"):
        load(write(tmp_path / name, text))


@pytest.mark.parametrize("name", ["items.jsonl", "items.json"])
def test_nan_is_a_missing_value(name: str, tmp_path: Path) -> None:
    rows = '{"item_id": "a", "title": NaN, "price": NaN}'
    data = load(write(tmp_path / name, rows if name == "items.jsonl" else f"[{rows}]"))
    assert data.items.select("title", "price").rows() == [("", None)]


@pytest.mark.parametrize("first", ['{"item_id": "x"', "[1]", "{'item_id': ", "nonsense", '"x"'])
@pytest.mark.parametrize("name", ["items.jsonl", "items.json"])
def test_a_bad_first_line_costs_itself(name: str, first: str, tmp_path: Path) -> None:
    text = first + '\n{"item_id": "a"}\n{"item_id": "b"}\n'
    data = load(write(tmp_path / name, text), on_error="skip")
    assert data.items["item_id"].to_list() == ["a", "b"]
    assert data.rejected == 1


def test_a_bad_element_of_a_document_costs_itself(tmp_path: Path) -> None:
    text = '[{"item_id": "a"}, 3, {"item_id": "\\ud800"}, null, {"item_id": "b"}]'
    data = load(write(tmp_path / "items.json", text), on_error="skip")
    assert data.items["item_id"].to_list() == ["a", "b"]
    assert data.rejected == 3


def test_a_long_first_record_is_no_document(tmp_path: Path) -> None:
    rows = [{"item_id": "a", "title": "x" * 200_000}, {"item_id": "b", "title": "y"}]
    path = write(tmp_path / "items.json", "\n".join(map(json.dumps, rows)))
    assert load(path).items["item_id"].to_list() == ["a", "b"]


def test_a_key_that_later_records_lack_stays_a_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_rec.data.readers.json_lines._CHUNK_BYTES", 10)
    text = '{"item_id": "a", "headline": "Pot"}\n{"item_id": "b"}\n{"item_id": "c"}\n'
    columns = {"items": {"title": "headline"}}
    path = write(tmp_path / "items.jsonl", text)
    assert titles(path, columns=columns) == {"a": "Pot", "b": "", "c": ""}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | CELL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELL, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.dictionaries(CELL | st.sampled_from(["a", "b"]), JSON), min_size=1, max_size=5)
)
def test_lines_and_documents_give_the_same_values(
    rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("json")
    rows = [{"id": f"x{n}", **row} for n, row in enumerate(rows)]
    write(folder / "x.jsonl", "\n".join(map(json.dumps, rows)))
    write(folder / "x.json", json.dumps(rows))
    kept = [name for name in ("id", "a", "b") if any(row.get(name) is not None for row in rows)]
    lines, document = (read(folder / name, kept) for name in ("x.jsonl", "x.json"))
    for name in kept:
        for one, other in zip(lines[name], document[name], strict=True):
            assert one == other or json.loads(one, strict=False) == json.loads(other)


# Parquet


def test_columns_that_are_not_used_do_not_matter(tmp_path: Path) -> None:
    frame = pl.DataFrame({
        "item_id": ["a", "b"],
        "title": ["Pot", None],
        "image": [b"\xff\xd8", None],
        "images": [[b"\xff"], None],
        "size": [{"w": 1, "h": None}, None],
        "vector": pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2)),
        "counts": [[{"key": "x", "value": 1}], []],
        "took": [dt.timedelta(days=1), None],
        "_line": [7, 8],
        LINE: [9, 9],
    })  # fmt: skip
    frame.write_parquet(tmp_path / "items.parquet")
    assert titles(tmp_path / "items.parquet") == {"a": "Pot", "b": ""}
    header = read_chunks(
        tmp_path / "items.parquet", rejects=Rejects(), wanted=lambda name: name == "title"
    )
    assert next(header).columns == [*frame.drop(LINE).columns, LINE]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pl.Series([1.5, float("nan"), None]), ["1.5", None, None]),
        (pl.Series([b"Pot", None]), ["Pot", None]),
        (pl.Series([["Tea", "Pots"], None]), ['["Tea", "Pots"]', None]),
        (pl.Series([[{"name": "Tea"}], []]), ['[{"name": "Tea"}]', "[]"]),
        (pl.Series([["é"]], dtype=pl.Array(pl.String, 1)), ['["é"]']),
        (pl.Series([Decimal("12.50")]), ["12.50"]),
        (pl.Series(["x"], dtype=pl.Categorical), ["x"]),
        (pl.Series(["x"], dtype=pl.Enum(["x"])), ["x"]),
        (pl.Series([dt.date(2024, 5, 1)]), ["2024-05-01"]),
        (pl.Series([dt.datetime(2024, 5, 1, 12)]), ["2024-05-01 12:00:00"]),  # noqa: DTZ001
        (pl.Series([None, None]), [None, None]),
        (pl.Series([True, None]), ["true", None]),
        (pl.Series([2**63], dtype=pl.UInt64), ["9223372036854775808"]),
    ],
)
def test_values_of_parquet_become_text(
    values: pl.Series, texts: list[str | None], tmp_path: Path
) -> None:
    values.alias("x").to_frame().write_parquet(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet")["x"].to_list() == texts


def test_times_with_a_zone_are_in_utc(tmp_path: Path) -> None:
    local = pl.Series("timestamp", [dt.datetime(2024, 5, 1)]).dt.replace_time_zone("Europe/Rome")  # noqa: DTZ001
    frame = pl.DataFrame({"user_id": [7], "item_id": ["a"]}).with_columns(local)
    frame.write_parquet(tmp_path / "log.parquet")
    log = Dataset.load(interactions=tmp_path / "log.parquet").interactions
    assert log["timestamp"].to_list() == [1714514400]


def test_bytes_that_are_no_text_are_bad_rows(tmp_path: Path) -> None:
    frame = pl.DataFrame({"item_id": ["a", "b"], "title": [b"Pot", b"\xff"]})
    frame.write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="UTF-8 text") as caught:
        load(tmp_path / "items.parquet")
    assert caught.value.row == 2
    assert "UTF-8 text in title" in str(caught.value)
    assert titles(tmp_path / "items.parquet", on_error="skip") == {"a": "Pot"}


def test_all_columns_can_be_counted_whatever_they_hold_or_are_called(tmp_path: Path) -> None:
    frame = pl.DataFrame({"item_id": ["a"], "*": [1], "^x$": [2], LINE: [3], "image": [b"\xff"]})
    frame.write_parquet(tmp_path / "items.parquet")
    report, _ = inspect_file(tmp_path / "items.parquet")
    assert [(column.source, column.filled) for column in report.columns] == [
        ("item_id", 1), ("*", 1), ("^x$", 1), ("image", 1),
    ]  # fmt: skip


def test_doubled_line_ends_of_windows(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", 'item_id,title\r\r\na,Pot\r\r\nb,"Cup"\r\r\n')
    assert titles(path) == {"a": "Pot", "b": "Cup"}


@pytest.mark.parametrize("name", ["items.parquet", "items.jsonl", "items.csv"])
def test_a_column_may_have_the_name_of_the_line_column(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"item_id": ["a", "b"], "_line": ["Pot", "Cup"]})
    path = tmp_path / name
    match name:
        case "items.parquet":
            frame.write_parquet(path)
        case "items.jsonl":
            frame.write_ndjson(path)
        case _:
            frame.write_csv(path)
    assert titles(path) == {"a": "", "b": ""}
    assert titles(path, columns={"items": {"title": "_line"}}) == {"a": "Pot", "b": "Cup"}


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
def test_a_file_with_a_header_only_has_its_columns(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame(schema={"item_id": pl.String, "title": pl.String})
    getattr(frame, "write_" + name.split(".")[1])(tmp_path / name)
    assert read(tmp_path / name).columns == ["item_id", "title", LINE]
    with pytest.raises(DataError, match="there are no items"):
        load(tmp_path / name)
