"""Texts: words for a missing value, HTML entities, and flags."""

from __future__ import annotations

import re

import polars as pl

from rag_rec.core import entities_resolved
from rag_rec.data.values.numbers import read_numbers

TEXT_GAPS = ("\\N", "NULL", "null", "NaN", "nan", "NaT", "None", "<NA>", "#N/A", "N/A", "NA")
"""Words that databases and programs write for a missing text or id."""

VALUE_GAPS = (
    *dict.fromkeys(word.lower() for word in TEXT_GAPS),
    *("n.a.", "nil", "undefined", "(null)", "-", "--", "---", "–", "—", "?"),
    "(no genres listed)",
)
"""The same, lower case, and the signs that stand for a missing number, date, flag or list."""

_ENTITY = r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);"
_FLAGS = {
    word: is_true
    for is_true, words in {
        True: "true t yes y ja oui si instock instockstock available availablefororder "
        "lieferbar auflager lowstock verfügbar preorder backorder onbackorder limitedavailability "
        "instoreonly onlineonly",
        False: "false f no n nein non outofstock soldout unavailable notavailable discontinued "
        "ausverkauft nichtauflager nichtlieferbar nichtverfügbar",
    }.items()
    for word in words.split()
}


def is_gap(text: pl.Series, *, exact: bool) -> pl.Series:
    """Mark the values that are a word for missing."""
    word = text.str.strip_chars()
    return word.is_in(TEXT_GAPS) if exact else word.str.to_lowercase().is_in(VALUE_GAPS)


def decoded(text: pl.Series) -> pl.Series:
    """Resolve HTML entities, also those that were escaped twice."""
    rows = text.str.contains(_ENTITY).fill_null(value=False).arg_true()
    if not len(rows):
        return text
    found = [_resolved(_resolved(value)) for value in text.gather(rows)]
    return text.clone().scatter(rows, pl.Series(found, dtype=pl.String))


def _resolved(text: str) -> str:
    return re.sub(_ENTITY, lambda entity: entities_resolved(entity[0]), text)


def read_flags(text: pl.Series, mark: str) -> pl.Series:
    """Read words such as ``yes`` or ``out of stock``, or a number of pieces in stock."""
    word = text.str.to_lowercase().str.replace(r"^https?://.*/", "").str.replace_all(r"[^\pL]", "")
    known = word.replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean)
    pieces = read_numbers(text, mark) > 0
    return pieces.zip_with(pieces.is_not_null(), known)
