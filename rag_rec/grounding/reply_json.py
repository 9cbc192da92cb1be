"""Find the entries in the text of a reply: the agreed JSON, or what can only be meant by it.

A near miss is read where it can mean one thing: a bare list, Python's quotes, words or a fence
around the JSON, a torn end. Two different lists in one reply are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from rag_rec.core import (
    MAX_JSON_CHARS,
    STRICT_DECODER,
    one_line,
    parse_json,
    shallow,
    without_thoughts,
)

_MAX_TRIES = 32
_OPENING = re.compile(r"[\[{]")
_LIST = re.compile(r'(?:\{\s*"items"\s*:\s*)?\[\s*(?=\{\s*")')
_NEXT_ENTRY = re.compile(r"[\s,]*(?=\{)")
_PYTHON = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'((?:[^'\\]|\\.)*)'|\b(True|False|None)\b", re.DOTALL)
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)\s*:")
_CONTROL = re.compile(r"[\x00-\x1f]+")
_QUOTE = re.compile(r"\\.|\"", re.DOTALL)
_IN_JSON = {"\\'": "'", '"': '\\"', "True": "true", "False": "false", "None": "null"}
_CURLY = str.maketrans("“”„‟", '""""')


class Found(NamedTuple):
    """The entries of a reply as they stand there, and what is wrong with the rest."""

    entries: list[Any]
    problem: str | None = None


def find_entries(text: str) -> Found:
    """Return the entries of a reply; the problem is None for the agreed JSON."""
    try:
        document = parse_json(text)
    except ValueError as error:
        problem = one_line(str(error))[:200]
    else:
        if isinstance(document, dict) and set(document) == {"items"}:
            if isinstance(document["items"], list):
                return Found(document["items"])
            problem = '"items" must be a list'
        else:
            problem = 'the top level must be {"items": [...]}'
        if (entries := _entries_of(document)) is not None:
            return Found(entries, problem)
    return Found(_near_miss(without_thoughts(text[:MAX_JSON_CHARS])), problem)


def _near_miss(text: str) -> list[Any]:
    """Return the entries of the only list in a text; none where there are several."""
    text = _CONTROL.sub(" ", text)
    python = _from_python(text)
    readings = (
        text,
        python,
        _BARE_KEY.sub(r'\1"\2":', python),
        text.translate(_CURLY),
        text.replace("\\'", "'"),
    )
    variants = list(dict.fromkeys(readings))
    for variant in variants:
        if lists := _whole_lists(variant):
            return lists[0] if all(one == lists[0] for one in lists) else []
    return next((entries for variant in variants if (entries := _torn_list(variant))), [])


def _entries_of(value: Any) -> list[Any] | None:
    """Return the entries that a whole document can only mean; None if it is not clear."""
    match value:
        case str():  # JSON inside a JSON text
            try:
                inner = parse_json(value)
            except ValueError:
                return None
            return None if isinstance(inner, str) else _entries_of(inner)
        case [dict(only)] if "items" in only:
            return _entries_of(only)
        case list():
            return value or None
        case {"items": [*entries]}:
            return entries
        case {"items": (str() | dict()) as inner}:
            return _entries_of(inner)
        case dict() if "label" in value:
            return [value]
        case dict() if _is_list(numbered := [*value.values()]):
            return numbered
        case dict():
            lists = [inner for inner in value.values() if _is_list(inner)]
            return lists[0] if len(lists) == 1 else None
        case _:
            return None


def _is_list(value: Any) -> bool:
    """Return True for a list of entries."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(entry, dict) and "label" in entry for entry in cast("list[Any]", value))


def _whole_lists(text: str) -> list[list[Any]]:
    """Return every complete list of entries in a text, alone or in an object."""
    whole = [
        value for value in _values(text) if not isinstance(value, dict) or "label" not in value
    ]
    found = [_entries_of(value) for value in whole]
    return [entries for entries in found if entries is not None and _is_list(entries)]


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON objects and lists in a text, but not those inside another."""
    position = 0
    for _ in range(_MAX_TRIES):
        opening = _OPENING.search(text, position)
        if opening is None:
            return
        try:
            value, end = STRICT_DECODER.raw_decode(text, opening.start())
            shallow(value)
        except (ValueError, RecursionError):
            position = opening.end()
        else:
            position = end
            yield value


def _torn_list(text: str) -> list[Any]:
    """Return the complete entries at the front of the only list, which has no good end."""
    starts = list(_LIST.finditer(text))
    entries: list[Any] = []
    position = starts[0].end() if len(starts) == 1 else len(text)
    while found := _NEXT_ENTRY.match(text, position):
        try:
            entry, position = STRICT_DECODER.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            break
        entries.append(entry)
    return entries


def _from_python(text: str) -> str:
    """Return a text with Python's quotes and constants as JSON has them."""
    opening = _OPENING.search(text)
    if opening is None or "'" not in text:
        return text
    return _PYTHON.sub(_json_of, text[opening.start() :])


def _json_of(token: re.Match[str]) -> str:
    if token[1] is None:
        return _IN_JSON.get(token[0], token[0])
    return '"' + _QUOTE.sub(lambda escape: _IN_JSON.get(escape[0], escape[0]), token[1]) + '"'
