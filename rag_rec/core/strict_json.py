"""JSON read strictly: the standard library also accepts NaN, repeated keys and endless input."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_JSON_CHARS = 1_000_000
"""Characters of the longest document that `parse_json` reads."""


def parse_json(text: str) -> Any:
    """Parse one JSON document strictly: no NaN, no repeated keys, nothing after the end.

    Raises:
        ValueError: If the text is anything else, too long or nested too deeply.

    >>> parse_json('{"k": [1, 2]}')
    {'k': [1, 2]}
    >>> parse_json('{"k": 1, "k": 2}')
    Traceback (most recent call last):
    ValueError: an object names the same key twice
    """
    if len(text) > MAX_JSON_CHARS:
        raise ValueError(f"longer than {MAX_JSON_CHARS} characters")
    try:
        return STRICT_DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names the same key twice")
    return result


STRICT_DECODER = json.JSONDecoder(object_pairs_hook=_distinct_keys, parse_constant=_refuse_constant)
"""Decoder behind `parse_json`, for `raw_decode`: one value somewhere inside a text."""
