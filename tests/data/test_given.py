"""Given splits: the published forms of training, validation and test files, read and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rag_rec import Dataset
from rag_rec.core.errors import ConfigError, DataError
from rag_rec.data import GivenFiles, Split, load_given

AMAZON = "user_id,parent_asin,rating,timestamp\n"
WITH_HISTORY = "user_id,parent_asin,rating,timestamp,history\n"
MINI = "user_id,history_item_title,item_title,history_item_id,item_id\n"
RECBOLE = "user_id:token\titem_id:token\ttimestamp:float\n"


def files(folder: Path, ending: str = "csv", **texts: str) -> dict[str, Path]:
    paths = {name: folder / f"{name}.{ending}" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    return paths


def load(
    folder: Path,
    parts: dict[str, str] | None = None,
    *,
    ending: str = "csv",
    options: dict[str, Any] | None = None,
    **texts: str,
) -> Split:
    paths = files(folder, ending, **(parts or {}), **texts)
    train = [paths.pop("train")] if "train" in paths else []
    return load_given(GivenFiles(train=train, **paths), **(options or {}))


def asked(split: Split) -> list[tuple[str, list[str], str]]:
    return sorted(zip(split.users, split.inputs, split.targets, strict=True))


def fitted(split: Split) -> list[tuple[str, str, int | None]]:
    return list(split.fit.interactions.select("user_id", "item_id", "timestamp").iter_rows())


def test_amazon_2023_last_out(tmp_path: Path) -> None:
    parts = {
        "train": AMAZON + "u,a,5,1000000001000\nu,b,4,1000000002000\nv,a,1,1000000005000\n",
        "validation": AMAZON + "u,c,5,1000000003000\nv,b,5,1000000006000\n",
        "test": AMAZON + "u,d,5,1000000004000\nv,c,3,1000000007000\n",
    }
    split = load(tmp_path, parts)
    assert asked(split) == [("u", ["a", "b", "c"], "d"), ("v", ["a", "b"], "c")]
    assert fitted(split) == [("u", "a", 1000000001), ("u", "b", 1000000002), ("v", "a", 1000000005)]
    assert set(split.fit.items["item_id"]) == set("abcd")
    assert split.known_until is None  # the parts overlap in time
    validation = load(tmp_path, parts, options={"ask_validation": True})
    assert asked(validation) == [("u", ["a", "b"], "c"), ("v", ["a"], "b")]
    assert fitted(validation) == fitted(split)


def test_a_row_without_a_history_is_asked_with_earlier_rows_of_its_file(tmp_path: Path) -> None:
    parts = {
        "train": AMAZON + "u,a,5,1000000000\nw,b,5,1000000001\n",
        "test": AMAZON + "u,d,5,1000000009\nu,b,5,1000000007\nu,c,5,1000000007\nw,d,1,1000000008\n"
        "x,a,5,1000000008\n",
    }
    split = load(tmp_path, parts)
    assert asked(split) == [
        ("u", ["a"], "b"), ("u", ["a"], "c"), ("u", ["a", "b", "c"], "d"), ("w", ["b"], "d"),
    ]  # fmt: skip
    ties = dict(zip(split.targets, split.tied, strict=True))
    assert (ties["b"], ties["c"]) == (True, True)
    assert split.known_until == 1000000007
    assert "test.csv: 1 rows without a history are not asked" in split.fit.notices


def test_amazon_2023_with_histories(tmp_path: Path) -> None:
    parts = {
        "train": WITH_HISTORY
        + "u,a,5,1000000001000,\nu,b,4,1000000002000,a\nv,a,1,1000000003000,\n",
        "validation": WITH_HISTORY + "u,c,5,1000000004000,a b\n",
        "test": WITH_HISTORY + "u,d,5,1000000006000,a b c\nu,a,5,1000000007000,a b c d\n"
        "n,a,5,1000000008000,\n",
    }
    split = load(tmp_path, parts)
    assert asked(split) == [("u", list("abc"), "d"), ("u", list("abcd"), "a")]
    assert fitted(split) == [("u", "a", 1000000001), ("u", "b", 1000000002), ("v", "a", 1000000003)]


def test_mini_one_rec_without_its_training_file(tmp_path: Path) -> None:
    """The fit has what lies before the test: no test target, and no history with one in it."""
    parts = {
        "validation": MINI + "u,['x'],y,\"[1, 2]\",3\nu,['x'],y,\"[1, 2, 3]\",4\n",
        "test": MINI + "u,['x'],y,\"[3, 4]\",5\nu,['x'],y,\"[3, 4, 5]\",6\nv,['x'],y,[2],5\n",
    }
    split = load(tmp_path, parts)
    assert asked(split) == [("u", ["3", "4"], "5"), ("u", ["3", "4", "5"], "6"), ("v", ["2"], "5")]
    assert [row[:2] for row in fitted(split)] == [
        *(("u", item) for item in "1234"), ("v", "2"),
    ]  # fmt: skip
    assert any("no training file: fitted on 5 events of 2 users" in it for it in split.fit.notices)
    trained = load(tmp_path, parts, train=MINI + "w,['x'],y,\"[1, 1]\",2\n")
    assert [row[:2] for row in fitted(trained)] == [("w", "1"), ("w", "1"), ("w", "2")]


def test_recbole_files_and_lists_of_items(tmp_path: Path) -> None:
    parts = {
        "train": RECBOLE + "u\ta\t1000000001\nu\tb\t1000000002\n",
        "validation": RECBOLE + "u\tc\t1000000003\n",
        "test": "user_id:token\titem_id_list:token_seq\titem_id:token\nu\ta b c\td\n",
    }
    split = load(tmp_path, parts, ending="inter", options={"format": "recbole"})
    assert asked(split) == [("u", ["a", "b", "c"], "d")]
    lists = {"train": "u a b c\nv a\n", "test": "u d e\nv b\n"}
    split = load(tmp_path, lists, ending="txt", options={"format": "sequences"})
    assert asked(split) == [("u", list("abc"), "d"), ("u", list("abc"), "e"), ("v", ["a"], "b")]


def test_reviews_of_rows_that_are_not_fitted_on_are_left_out(tmp_path: Path) -> None:
    texts = {
        "train": AMAZON + "u,a,5,1000000001\nv,b,5,1000000002\n",
        "validation": AMAZON + "u,b,5,1000000003\n",
        "test": AMAZON + "u,c,5,1000000004\n",
        "items": "id,title\na,A\nb,B\nc,C\n",
        "reviews": "user_id,item_id,text,timestamp\nu,a,fitted,1000000001\nu,b,hidden,1000000001\n"
        "u,c,hidden,1000000001\nv,b,fitted,1000000002\nv,a,later,1000000003\nv,a,undated,\n",
    }
    (kept,) = load(tmp_path, texts).fit.reviews.frames()
    assert kept["text"].to_list() == ["fitted", "fitted"]


@pytest.mark.parametrize(
    ("parts", "options", "says"),
    [
        ({"train": AMAZON + "u,a,5,1\n"}, {}, "give the file to ask: --test FILE, or --target val"),
        ({"test": AMAZON + "u,a,5,1\n"}, {}, "test.csv: nothing to fit on: give --train FILE"),
        ({"train": AMAZON + "u,a,5,1\n", "test": AMAZON + "v,a,5,2\n"}, {}, "no row has a history"),
        ({"train": AMAZON, "test": AMAZON + "v,a,5,2\n"}, {}, "train.csv: has no rows"),
        ({"train": "a,b\n1,2\n", "test": "a,b\n1,2\n"}, {}, "user_id"),
        ({"test": AMAZON + "u,a,5,1\n"}, {"format": "amazon"}, "--format auto, recbole, sequences"),
        (
            {"train": AMAZON + "u,a,5,1\n", "test": AMAZON + "u,b,5,2\n", "items": "id\na\n"},
            {},
            "test.csv:2: field 'item_id': expected an id of the catalog, found 'b'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_line(
    tmp_path: Path, parts: dict[str, str], options: dict[str, Any], says: str
) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        load(tmp_path, parts, options=options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_rows_are_set_aside(tmp_path: Path) -> None:
    rejects = tmp_path / "rejected.csv"
    split = load(
        tmp_path,
        options={"on_error": "skip", "rejects_file": rejects},
        train=AMAZON + "u,a,5,1\nu,c,5,1\n",
        test=AMAZON + "u,b,5,2\nu,x,5,3\n,b,5,3\nu,b,5,2\n",
        items="id,title\na,A\nb,B\nc,C\n",
    )
    assert asked(split) == [("u", ["a", "c"], "b")] * 2
    assert split.fit.rejected == 2
    assert "an id of the catalog,x" in rejects.read_text()


@given(
    sequence=st.lists(st.sampled_from("abc"), min_size=2, max_size=12),
    width=st.integers(2, 12),
    start=st.integers(1, 11),
)
@settings(max_examples=60, deadline=None, phases=[Phase.generate])
def test_windows_of_a_sequence_give_it_back(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[str], width: int, start: int
) -> None:
    """Rows of the last ``width`` items and the next one tell of every event once, repeats too."""
    start = min(start, len(sequence) - 1)
    rows = [
        f"u,{sequence[at]},{' '.join(sequence[max(0, at - width) : at])}\n"
        for at in range(start, len(sequence))
    ]
    folder = tmp_path_factory.mktemp("windows")
    header = "user_id,item_id,history\n"
    split = load(folder, train=header + "".join(rows), test=header + "u,a,b\n")
    told = sequence[max(0, start - width) :]
    assert split.fit.interactions["item_id"].to_list() == told


def test_a_test_row_planted_later_changes_no_fit(tmp_path: Path) -> None:
    parts = {
        "validation": MINI + "u,['x'],y,\"[1, 2]\",3\n",
        "test": MINI + "u,['x'],y,\"[2, 3]\",4\n",
    }
    before = load(tmp_path, parts, items="id,title\n" + "".join(f"{n},t\n" for n in range(9)))
    parts["test"] += "u,['x'],y,\"[2, 3, 4]\",8\nu,['x'],y,\"[3, 4, 8]\",7\n"
    after = load(tmp_path, parts, items="id,title\n" + "".join(f"{n},t\n" for n in range(9)))
    assert isinstance(before.fit, Dataset)
    assert after.fit.digest == before.fit.digest
