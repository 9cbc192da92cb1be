"""Strict JSON: what the standard library lets through is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rag_rec
from rag_rec.core import MAX_JSON_CHARS, STRICT_DECODER, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
).filter(lambda value: "Infinity" not in json.dumps(value))


@given(VALUES)
def test_documents_read_as_the_standard_library_reads_them(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ('{"a": {"b": 1, "b": 1}}', "same key twice"),
        ("{} {}", "Extra data"),
        ("", "Expecting value"),
        ("[" * 100_000, "nested too deeply"),
        ('"' + "x" * MAX_JSON_CHARS + '"', "longer than"),
    ],
    ids=["nan", "infinity", "keys", "two", "empty", "deep", "long"],
)
def test_it_refuses_what_is_not_strict(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_json(text)


def test_the_decoder_reads_one_value_inside_a_text() -> None:
    assert STRICT_DECODER.raw_decode('note {"a": 1} and more', 5) == ({"a": 1}, 13)
    with pytest.raises(ValueError, match="same key twice"):
        STRICT_DECODER.raw_decode('{"a": 1, "a": 2} tail')


def test_json_from_outside_is_read_at_one_place() -> None:
    package = Path(rag_rec.__file__).parent
    others = [path for path in package.rglob("*.py") if "testing" not in path.parts]
    reads = [p.name for p in others if re.search(r"\bjson\.loads?\(", p.read_text("utf-8"))]
    assert reads == ["strict_json.py"]
