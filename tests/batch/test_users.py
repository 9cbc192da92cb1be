"""User files as they come: every row is served or a numbered failure, and none ends the job."""

from __future__ import annotations

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from batch_tools import failures_of, ids_of, lines_of, run_batch, settings_for, write_users
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import ConfigError, DataError
from rag_rec.batch.users import BadUser, BatchUser, read_users
from rag_rec.core import Constraints
from rag_rec.data.readers.rows import count_rows, read_rows
from rag_rec.testing import ChatServer


def users_of(path: Path, **columns: str) -> list[BatchUser | BadUser]:
    return list(read_users(path, columns))


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_user_has_all_that_a_row_may_say(tmp_path: Path) -> None:
    row = {
        "user_id": 42, "custom_id": "c-1", "profile": "likes tea", "k": 7,
        "history": ["tea-001", {"item_id": "tea-002", "timestamp": 5, "rating": 4.5}],
        "constraints": {"exclude": ["tea-003"], "allow_seen": True},
    }  # fmt: skip
    (user,) = users_of(write_users(tmp_path / "u.jsonl", [row]))
    assert isinstance(user, BatchUser)
    assert (user.row, user.custom_id, user.user_id, user.k) == (1, "c-1", "42", 7)
    assert user.history is not None
    assert [event.item_id for event in user.history] == ["tea-001", "tea-002"]
    assert user.history[1].rating == 4.5
    assert user.constraints == Constraints(exclude=frozenset({"tea-003"}), allow_seen=True)


def test_csv_jsonl_and_parquet_say_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": "a", "history": ["tea-001", "tea-002"], "profile": "x, y", "k": 3},
        {"user_id": "b", "history": None, "profile": None, "k": None},
        {"user_id": "c", "history": [], "profile": 'says "hi"\nand more', "k": None},
    ]
    lines = write_users(tmp_path / "u.jsonl", rows)
    pl.DataFrame(rows).write_parquet(tmp_path / "u.parquet")
    write(
        tmp_path / "u.csv",
        'user_id,history,profile,k\r\na,tea-001|tea-002,"x, y",3\r\nb,,,\r\n'
        'c,[],"says ""hi""\nand more",\r\n',
    )
    write(
        tmp_path / "semi.csv",
        '\ufeffUser ID;history;profile;k\na;"[""tea-001"",""tea-002""]";x, y;3\nb;;;\n'
        'c;[];"says ""hi""\nand more";\n',
    )
    wanted = [(u.custom_id, u.history, u.profile, u.k) for u in users_of(lines)]  # type: ignore[union-attr]
    assert wanted[0][3] == 3
    for name in ("u.parquet", "u.csv", "semi.csv"):
        found = users_of(tmp_path / name)
        assert [(u.custom_id, u.history, u.profile, u.k) for u in found] == wanted, name  # type: ignore[union-attr]
        assert count_rows(tmp_path / name) in {3, 4}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"history": ["tea-001"]}, "no user_id and no custom_id"),
        ({"user_id": ""}, "no user_id and no custom_id"),
        ({"user_id": "  "}, "no user_id and no custom_id"),
        ({"user_id": True}, "user_id: expected text, found True"),
        ({"user_id": 1.5}, "user_id: expected text, found 1.5"),
        ({"user_id": ["a"]}, "user_id: expected text"),
        ({"user_id": "x" * 513}, "an id has 1 to 512 characters, this one 513"),
        ({"user_id": "\ud800"}, "user_id: is not UTF-8 text"),
        ({"user_id": "a", "k": 0}, "k: expected a whole number from 1 to 1000, found 0"),
        ({"user_id": "a", "k": "ten"}, "k: expected a whole number"),
        ({"user_id": "a", "k": 2.0}, "k: expected a whole number"),
        ({"user_id": "a", "history": {"a": 1}}, "history: expected a list of item ids"),
        ({"user_id": "a", "history": [["x"]]}, "history: expected text"),
        ({"user_id": "a", "history": [{"rating": 1}]}, "history: expected text, found None"),
        ({"user_id": "a", "history": [{"item_id": "x", "when": 1}]}, "history: when: extra inputs"),
        ({"user_id": "a", "history": "[1, 2"}, "history: is not JSON"),
        ({"user_id": "a", "constraints": {"exlude": []}}, "constraints: exlude: extra inputs"),
        ({"user_id": "a", "constraints": "no"}, "constraints: is not JSON"),
        (
            {"user_id": "a", "profile": "x" * 100_001},
            "profile: a profile or request has at most 100,000",
        ),
        ({"user_id": "a", "profile": 3}, "profile: expected text, found 3"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(
    row: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    bad, good = users_of(write_users(tmp_path / "u.jsonl", [row, {"user_id": "b"}]))[-2:]
    assert isinstance(bad, BadUser)
    assert reason in bad.reason
    assert (bad.row, bad.kind) == (1, "bad_row")
    assert isinstance(good, BatchUser)


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[1]", b"3", b"null", b'{"user_id": "a"} {}', b'{"user_id": "a", "user_id": "b"}',
        b'{"user_id": NaN}', b"\xff\xfe", b'{"user_id": "caf\xe9"}', b"[" * 100_000,
        b"x" * 10_000_000, b'{"user_id": "' + b"y" * 10_000_000 + b'"}', b"\x00", b"\x00" * 1000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_object_costs_itself(line: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "u.jsonl", b'{"user_id": "a"}\n' + line + b'\n\n\r\n{"user_id": "b"}')
    first, bad, *blank, last = users_of(path)
    assert isinstance(bad, BadUser)
    assert bad.row == 2
    assert [first.row, last.row] == [1, 5]
    assert [(row.row, row.reason) for row in blank] == [(n, "is a blank line") for n in (3, 4)]
    assert len(bad.reason) < 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"caf\xe9,x", "not UTF-8"),
        (b"a,b,c", "3 fields where the header has 2"),
        (b"a", "1 fields where the header has 2"),
        (b",", "no user_id"),
        (b'"never closed,x', "is a quote not closed?"),
        (b"x" * 10_000_000 + b",x", "512 characters"),
        (b"z," + b"x" * 10_000_000, "a profile or request has at most"),
    ],
)
def test_a_csv_row_that_cannot_be_read_costs_itself(
    line: bytes, reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "u.csv", b"user_id,profile\na,\n" + line + b'\n\nb,"x\ny"\nc,\x00\n')
    first, bad, blank, second, third = users_of(path)
    assert isinstance(bad, BadUser)
    assert reason in bad.reason
    assert blank == BadUser(4, "bad_row", "is a blank line")
    assert [first.row, bad.row, second.row, third.row] == [2, 3, 5, 7]
    assert second.profile == "x\ny"  # type: ignore[union-attr]
    assert third.profile == "\x00"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("u.csv", b"", "the file is empty"),
        ("u.csv", b"\n\n", "the file is empty"),
        ("u.csv", b"name,age\nx,3\n", "no column for user_id; the file has name, age"),
        ("u.csv", b"user_id,user_id\nx,3\n", "named twice"),
        ("u.csv", "user_id\nä\n".encode("utf-16"), "save it as UTF-8"),
        ("u.csv", b"user_id,caf\xe9\n", "header is not UTF-8"),
        ("u.parquet", b"PAR1 but not really", "cannot be read as Parquet"),
        ("u.xlsx", b"PK", "user files end in .csv"),
    ],
)
def test_a_file_that_is_no_user_file_is_named(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        users_of(write(tmp_path / name, content))
    assert name in str(caught.value)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "u.csv", "who,what\na,likes tea\n")
    (user,) = users_of(path, user_id="who", profile="what")
    assert isinstance(user, BatchUser)
    assert (user.custom_id, user.profile) == ("a", "likes tea")
    with pytest.raises(ConfigError, match="no such column to map: name"):
        users_of(path, name="who")


@pytest.mark.parametrize("name", ["u.csv", "u.jsonl"])
def test_blank_lines_at_the_end_are_not_rows(name: str, tmp_path: Path) -> None:
    header, row = (b"user_id\n", b"a\n") if name == "u.csv" else (b"", b'{"user_id": "a"}\n')
    path = write(tmp_path / name, header + row + b"\n \n\r\n\n")
    assert [user.custom_id for user in users_of(path)] == ["a"]  # type: ignore[union-attr]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=12))
def test_any_text_is_served_or_numbered(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    """Written by the csv module and as JSON: one user or bad row a row, in order."""
    folder = tmp_path_factory.mktemp("u")
    with (folder / "u.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
        writer.writerow(["user_id", "profile"])
        writer.writerows([text, text] for text in texts)
    write_users(folder / "u.jsonl", [{"user_id": text, "profile": text} for text in texts])
    for name in ("u.csv", "u.jsonl"):
        users = users_of(folder / name)
        assert len(users) == len(texts)
        for user, text in zip(users, texts, strict=True):
            if text.strip():
                assert isinstance(user, BatchUser)
                if name == "u.csv":  # line ends of Windows, doubled ones too, are plain ones
                    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n")
                assert user.custom_id == text.strip()
            else:
                assert isinstance(user, BadUser)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_a_named_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("u")
    for name in ("u.csv", "u.jsonl", "u.tsv"):
        path = write(folder / name, b"user_id\n" + content if name != "u.jsonl" else content)
        with contextlib.suppress(DataError):
            numbers = [row.number for row in read_rows(path)]
            assert numbers == sorted(set(numbers))


def test_a_job_takes_what_comes(hash_index_folder: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": "user-001"},
        {"user_id": "nobody"},
        {"user_id": "cold", "history": []},
        {"user_id": "words", "profile": "green tea"},
        {"user_id": "user-002", "history": ["no-such-item"]},
        {"user_id": "user-001"},
        {"user_id": "user-003", "k": 2},
        {"custom_id": "anonymous", "history": ["tea-001"]},
        {"user_id": "user-004", "constraints": {"exclude": ["tea-001"]}},
        {"custom_id": "nothing to go by"},
    ]
    users = write_users(tmp_path / "u.jsonl", rows)
    out = tmp_path / "r.jsonl"
    summary = run_batch(hash_index_folder, users, out, settings_for(None))
    lists = {record["custom_id"]: record for record in lines_of(out)}
    assert set(lists) == {"user-001", "cold", "words", "user-003", "anonymous", "user-004"}
    assert len(lists["user-003"]["items"]) == 2
    assert lists["anonymous"]["user_id"] is None
    found = {
        failure["row"]: (failure["kind"], failure["custom_id"]) for failure in failures_of(out)
    }
    assert found == {
        2: ("unknown_user", "nobody"),
        5: ("unknown_item", "user-002"),
        6: ("duplicate_id", None),
        10: ("unknown_user", "nothing to go by"),
    }
    assert summary.exit_code == 3
    again = run_batch(hash_index_folder, users, out, settings_for(None))
    assert again.totals == summary.totals
    assert len(ids_of(out)) == len(set(ids_of(out))) == 9


def test_a_prompt_that_is_too_long_costs_its_user(hash_index_folder: Path, tmp_path: Path) -> None:
    rows = [{"user_id": f"u{n}", "profile": "tea " * (20_000 if n == 3 else 2)} for n in range(6)]
    out = tmp_path / "r.jsonl"
    with ChatServer() as server:
        users = write_users(tmp_path / "u.jsonl", rows)
        run_batch(hash_index_folder, users, out, settings_for(server))
        assert server.n_requests == 5
    (failure,) = failures_of(out)
    assert (failure["custom_id"], failure["kind"]) == ("u3", "prompt_too_long")


def test_every_csv_of_the_spectrum(
    data_folder: Path, hash_index_folder: Path, tmp_path: Path
) -> None:
    files = sorted(data_folder.glob("hard_inputs/**/*.csv"))
    assert len(files) >= 10
    for path in files:
        header = next(iter(read_rows(path))).fields
        first = next(iter(header))
        out = tmp_path / f"{path.stem}.jsonl"
        options = {"columns": {"user_id": first, "profile": list(header)[-1]}}
        run_batch(hash_index_folder, path, out, settings_for(None), **options)
        rows = list(read_rows(path))
        assert len(lines_of(out)) + len(failures_of(out)) == len(rows), path


def test_naughty_strings_as_ids(data_folder: Path, hash_index_folder: Path, tmp_path: Path) -> None:
    strings = json.loads((data_folder / "hard_inputs" / "naughty_strings.json").read_text())
    users = write_users(
        tmp_path / "u.jsonl", [{"user_id": text, "history": ["tea-001"]} for text in strings]
    )
    out = tmp_path / "r.jsonl"
    run_batch(hash_index_folder, users, out, settings_for(None))
    assert len(lines_of(out)) + len(failures_of(out)) == len(strings)
    served = {record["custom_id"] for record in lines_of(out)}
    assert served == {text.strip() for text in strings if 0 < len(text.strip()) <= 512}


def test_every_document_of_the_json_suite_as_a_line(
    data_folder: Path, hash_index_folder: Path, tmp_path: Path
) -> None:
    documents = sorted((data_folder / "hard_inputs" / "json").glob("*.json"))
    assert len(documents) > 200
    lines = [path.read_bytes().replace(b"\n", b" ") for path in documents]
    lines = [line for line in lines if line.strip()]
    path = write(tmp_path / "u.jsonl", b"\n".join([*lines, b'{"user_id": "user-001"}']))
    out = tmp_path / "r.jsonl"
    run_batch(hash_index_folder, path, out, settings_for(None))
    assert [record["custom_id"] for record in lines_of(out)] == ["user-001"]
    assert [failure["row"] for failure in failures_of(out)] == [*range(1, len(lines) + 1)]
