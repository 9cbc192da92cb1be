"""Errors: one tree, one line each, with a place and a way out."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from rag_rec import core
from rag_rec.core import (
    DataError,
    ModelError,
    OutputError,
    RagRecError,
    RateLimited,
    StaleIndex,
    StorageError,
)
from rag_rec.core import errors as errors_file

CLASSES = [
    found
    for _, found in inspect.getmembers(errors_file, inspect.isclass)
    if issubclass(found, RagRecError)
]


def test_every_error_is_public_drawn_in_the_tree_and_explained() -> None:
    tree = inspect.getdoc(errors_file) or ""
    drawn = re.findall(r"^[│├└─ ]*([A-Z]\w+)", tree.split("::")[1].split("Each message")[0], re.M)
    assert sorted(drawn) == sorted(found.__name__ for found in CLASSES)
    for found in CLASSES:
        assert getattr(core, found.__name__) is found
        assert found.__doc__


def test_the_tree_shows_each_error_below_its_base() -> None:
    tree = (inspect.getdoc(errors_file) or "").split("::")[1]
    parents: list[tuple[int, str]] = []
    for line in tree.splitlines():
        match = re.match(r"^([│├└─ ]*)([A-Z]\w+)", line)
        if match is None or line.startswith("Each"):
            continue
        depth = len(match[1])
        parents = [parent for parent in parents if parent[0] < depth]
        if parents:
            assert issubclass(getattr(core, match[2]), getattr(core, parents[-1][1]))
        parents.append((depth, match[2]))


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({}, "no such item"),
        ({"path": "a.csv"}, "a.csv: no such item"),
        ({"path": Path("a.csv"), "row": 7}, "a.csv:7: no such item"),
        ({"path": "a.csv", "row": 7, "field": "price"}, "a.csv:7: field 'price': no such item"),
        ({"field": "price"}, "field 'price': no such item"),
        ({"row": 7}, "7: no such item"),
    ],
)
def test_data_errors_say_where(place: dict[str, object], shown: str) -> None:
    error = DataError("no such item", **place)  # type: ignore[arg-type]
    assert str(error) == shown
    assert error.row == place.get("row")
    assert error.field == place.get("field")
    assert error.path == (Path(str(place["path"])) if "path" in place else None)


def test_model_errors_name_the_provider_and_a_way_out() -> None:
    error = RateLimited(
        "too many requests", provider="openai:x", retryable=True, hint="wait", retry_after_s=2
    )
    assert str(error) == "openai:x: too many requests; wait"
    assert (error.provider, error.retryable, error.retry_after_s) == ("openai:x", True, 2)
    assert isinstance(error, ModelError)
    assert str(ModelError("gone", provider="local")) == "local: gone"
    assert not ModelError("gone", provider="local").retryable


def test_other_errors_carry_what_a_program_needs() -> None:
    stale = StaleIndex("another embedder", expected="abc", found="def")
    assert str(stale) == "another embedder (expected abc, found def)"
    assert (stale.expected, stale.found) == ("abc", "def")
    storage = StorageError("the disk is full", path="out.jsonl")
    assert (str(storage), storage.path) == ("out.jsonl: the disk is full", Path("out.jsonl"))
    output = OutputError(["no items", "not JSON"], raw="hm")
    assert str(output) == "the model's reply cannot be used: no items; not JSON"
    assert (output.raw, output.problems) == ("hm", ["no items", "not JSON"])


def test_errors_are_told_apart_from_those_of_python() -> None:
    for found in CLASSES:
        assert not issubclass(found, ValueError | OSError | KeyError)
