"""JSON from outside: whatever the text is, it is a value of bounded depth or a `ValueError`.

The standard library accepts NaN, repeated keys and endless input, and raises other errors where a
value is nested deeply; so would everybody who walks through the value later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, cast

MAX_JSON_CHARS = 1_000_000
"""Characters of the longest document that `parse_json` reads."""

MAX_DEPTH = 100
"""Deepest nesting of lists and objects that is read."""


def read_json(text: str | bytes, *, constant: Callable[[str], Any] | None = None) -> Any:
    """Read one JSON document as the standard library does; its nesting is bounded.

    Args:
        text: The document.
        constant: Value of ``NaN``, ``Infinity`` and ``-Infinity``; a number when None.

    Raises:
        ValueError: If it is not JSON, or nested too deeply.

    >>> read_json("[" * 5000)
    Traceback (most recent call last):
    ValueError: nested too deeply
    """
    try:
        return shallow(json.loads(text, parse_constant=constant))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def shallow(value: Any) -> Any:
    """Return a JSON value as it is.

    Raises:
        ValueError: If it is nested more than `MAX_DEPTH` deep.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _inside(value: Any) -> Iterator[Any]:
    """Yield the lists and objects in a list or object."""
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value).values()
    elif not isinstance(value, list):
        return
    yield from (inner for inner in cast("Iterable[Any]", value) if isinstance(inner, dict | list))


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
        return shallow(STRICT_DECODER.decode(text))
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
