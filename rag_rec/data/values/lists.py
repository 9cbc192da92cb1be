"""Lists in one value: JSON or Python literals, or names between separators."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, cast

import polars as pl

from rag_rec.core import read_json
from rag_rec.data.values.base import Form, in_turn
from rag_rec.data.values.texts import VALUE_GAPS, decoded

WHOLE = "whole"
_SEPARATORS = {
    "|": r"\|", ";": ";", ",": ",", ">": "[>›»→]", "/": "/", ".": r"\.", "line": r"[\r\n]",
    "space": r"\s", WHOLE: r"\x1f",
}  # fmt: skip

SEPARATORS = "| ; , > / . or a word: line, space, whole"
"""The forms of lists, for messages; signs can be combined."""

_LITERAL = r"""(?s)^\s*(?:[\[{]\s*[\[{'"]|\[.*\]\s*$|\{.*\}\s*$)"""
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_STRINGS = rf"^\s*\[(?:[\s,\[\]]|{_QUOTED})*\]\s*$"
_PATH = r"\S\s?[>›»→]+\s?\S|&gt;"
_NAME_KEYS = ("name", "title", "label", "value", "term", "text")
_CODE = r"^[a-z0-9_]+(?:\.[a-z0-9_]+)+$"
_ENUMERATION = re.compile(r",\s[^,]*(?:&|\b(?:and|und|et|y|en)\b)\s*[^\s,][^,]*$", re.IGNORECASE)


def separators(form: str) -> str | None:
    """Return the pattern between names in a form such as ``;`` or ``,>``; None for no form."""
    each = [_SEPARATORS.get(name) for name in ([form] if form in _SEPARATORS else form)]
    return None if None in each or not each else f"(?:{'|'.join(map(str, each))})+"


def list_form(parts: Iterable[pl.Series]) -> Form:
    """Return the separators between the names of a column.

    The commonest of ``|``, ``;``, line breaks and commas is taken, and ``>`` in paths; without
    one, ``/`` in paths or dots in lower-case codes. Commas separate where a name occurs
    beside different ones, or where values do not look like one name: ``Arts, Crafts & Sewing``.
    """
    texts = pl.concat([part.unique() for part in parts]).unique(maintain_order=True)
    plain = decoded(texts.filter(~texts.str.contains(_LITERAL)))
    values = cast("list[str]", plain.to_list())
    counts = {name: int(plain.str.contains(_SEPARATORS[name]).sum()) for name in "|;,"}
    listed = literal(texts.filter(texts.str.contains(_LITERAL) & texts.str.contains(_PATH)))
    paths = (plain, listed.explode())
    counts[">"] = sum(int(names.str.contains(_PATH).sum()) for names in paths)
    counts["line"] = int(plain.str.strip_chars().str.contains(_SEPARATORS["line"]).sum())
    if counts["|"] or counts[";"] or not _commas_separate(values, paths=counts[">"] > 0):
        counts[","] = 0
    form = max(("|", ";", "line", ","), key=counts.__getitem__)
    form = (form if counts[form] else "") + (">" if counts[">"] else "")
    if form == "line>":
        form = "line"
    if not form and values:
        is_code = bool(plain.str.contains(_CODE).all())
        form = "/" if plain.str.contains(r"\s/\s|^/|/.*/").any() else "." if is_code else ""
    if not form:
        return Form(WHOLE, "commas belong to names" if plain.str.contains(",").any() else "")
    signs = ["lines"] if form == "line" else [f"'{sign}'" for sign in form]
    return Form(form, f"names between {' and '.join(signs)}")


def _commas_separate(values: list[str], *, paths: bool) -> bool:
    lists = [value for value in values if "," in value]
    if paths:
        return any(map(_holds_paths, lists))
    beside = Counter(name for value in values for name in {n.strip() for n in value.split(",")})
    enumerations = sum(bool(_ENUMERATION.search(value)) for value in lists)
    return bool(lists) and (max(beside.values()) > 1 or enumerations < len(lists) / 2)


def _holds_paths(value: str) -> bool:
    """Return True for several paths of one root, such as ``Clothing, Clothing > Shirts``."""
    roots = [path.split(">")[0].strip() for path in value.split(",")]
    return len(set(roots)) < len(roots)


def read_lists(text: pl.Series, form: str) -> pl.Series:
    """Read lists of names, each once; nested lists are flattened, of objects the names are kept."""
    names = in_turn(
        text,
        lambda rest: _separated(rest.set(rest.str.contains(_LITERAL), None), form),
        _quoted,
        literal,
        lambda rest: rest.str.extract(r"^\s*\[([^\[\]{}'\"]*)\]\s*$").str.split(","),
    )
    joined = decoded(names.list.join("\x1f"))
    if ">" in form:
        joined = joined.str.replace_all(_SEPARATORS[">"], "\x1f")
    name = pl.element().str.strip_chars()
    kept = name.filter((name != "") & ~name.str.to_lowercase().is_in(VALUE_GAPS))
    return joined.str.split("\x1f").list.eval(kept).list.unique(maintain_order=True)


def literal(text: pl.Series) -> pl.Series:
    """Read JSON and Python literals of lists and objects; null where there is none."""
    known = {value: _parsed(value) for value in text.unique().drop_nulls()}
    return pl.Series([known.get(value) for value in text], dtype=pl.List(pl.String))


def _separated(text: pl.Series, form: str) -> pl.Series:
    pattern = separators(form) or form
    return decoded(text).str.replace_all(pattern, "\x1f").str.split("\x1f")


def _quoted(text: pl.Series) -> pl.Series:
    """Read lists of quoted strings without escapes, which are most."""
    is_plain = text.str.contains(_STRINGS) & ~text.str.contains("\\", literal=True)
    plain = text.set(~is_plain, None)
    quoted = plain.str.extract_all(_QUOTED)
    return quoted.list.eval(pl.element().str.slice(1, pl.element().str.len_chars() - 2))


def _parsed(text: str) -> list[str] | None:
    for read in (read_json, ast.literal_eval):
        try:
            return [name.encode("utf-8", "replace").decode() for name in _names(read(text))]
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _names(value: Any) -> Iterator[str]:
    """Yield the names in a value.

    Raises:
        ValueError: If it is an object without one.
    """
    match value:
        case None:
            return
        case list() | tuple() | set():
            for inner in cast("Iterable[Any]", value):
                yield from _names(inner)
        case dict():
            yield from _names_of(cast("dict[str, Any]", value))
        case _:
            yield str(value)


def _names_of(record: dict[str, Any]) -> Iterator[str]:
    named = [record[key] for key in _NAME_KEYS if isinstance(record.get(key), str)]
    texts = [value for value in record.values() if isinstance(value, (str, list))]
    if named:
        yield named[0]
    elif record and all(isinstance(value, (int, float)) for value in record.values()):
        yield from map(str, record)  # counts by name
    elif len(texts) == 1:
        yield from _names(texts[0])
    elif record:
        raise ValueError("an object without a name")
