"""Numbers and prices; the decimal mark is that of the column, not of the row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import polars as pl

from rag_rec.core import CURRENCY_SIGNS
from rag_rec.data.values.base import Form, counted, in_turn

MARKS = ("point", "comma")

_CODES = (
    "USD|EUR|GBP|JPY|CNY|RMB|INR|CAD|AUD|NZD|CHF|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|RUB|UAH|TRY"
    "|BRL|MXN|ARS|CLP|COP|PEN|ZAR|NGN|KES|EGP|AED|SAR|ILS|KRW|TWD|HKD|SGD|MYR|THB|IDR|PHP|VND|PKR"
)
_CURRENCY = (
    rf"(?:[a-z]{{0,3}}[{CURRENCY_SIGNS}]|{_CODES}|euros?|dollars?|pounds?|[元円원]|kr\.?|zł|kč"
    r"|rs\.?|fr\.|lei|ft|руб\.?)"
)
_BEFORE = (
    r"(?:(?:from|ab|starting (?:at|from)|as low as|à partir de|desde|vanaf|only|now|price:?|ca\.?"
    r"|approx\.?|~)\s*)?"
)
_AFTER = r"(?:\+|each|ea\.?|(?:/|per\s|pro\s|inc|ink|exc|exk|zzgl|plus\s|\().*)?"
_TO = r"\s*(?:-|–|—|~|to|bis)\s*"
_RANGE = r"(?i)\d\D{0,6}(?:-|–|—|~|to|bis)\D{0,6}\d"
_SCALE = r"(?:\s*(?:/|out of|of|von|sur)\s*[\d.,]+)?\s*(?:stars?|sterne|points?|%|★)?"
_FREE = (
    r"(?i)^(?:(?:play )?for )?free(?:[ -]to[ -](?:play|use|try))?(?: demo| mod)?!?$"
    r"|^(?:gratis|kostenlos|gratuit|no charge)$"
)


def _digits(mark: str) -> str:
    decimal, group = (r"\.", "[,' ]") if mark == "point" else (",", "[.' ]")
    whole = rf"(?:[1-9]\d{{0,2}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
    return rf"(?:{whole}(?:{decimal}(?:\d+|[-–—]{{1,2}})?)?|{decimal}\d+)(?:e[+-]?\d+)?"


def _price_pattern(mark: str) -> str:
    one = rf"{_CURRENCY}?\s*({_digits(mark)})\s*{_CURRENCY}?"
    return rf"(?i)^{_BEFORE}{one}(?:{_TO}{one})?\s*{_AFTER}$"


_PRICES = {mark: _price_pattern(mark) for mark in MARKS}
_NUMBERS = {mark: rf"(?i)^([+-]?{_digits(mark)}){_SCALE}$" for mark in MARKS}


def read_numbers(text: pl.Series, mark: str) -> pl.Series:
    """Read numbers, of ratings also ``4.5 out of 5``; null where there is none."""
    return _read(text, _NUMBERS[mark], mark)


def read_prices(text: pl.Series, mark: str) -> pl.Series:
    """Read prices of 0 or more with or without a currency; of a range the lower end is taken."""
    return in_turn(text, lambda rest: _read(rest, _PRICES[mark], mark), _free)


def _free(text: pl.Series) -> pl.Series:
    return text.str.contains(_FREE).replace_strict(
        {True: 0.0}, default=None, return_dtype=pl.Float64
    )


def _read(text: pl.Series, pattern: str, mark: str) -> pl.Series:
    plain = text.str.replace_all(r"[\s\u00a0\u2007\u2009\u202f]+", " ").str.replace_all("’", "'")
    digits = plain.str.extract(pattern).str.replace(r"\D[-–—]{0,2}$", "")
    ungrouped = digits.str.replace_all("[,' ]" if mark == "point" else "[.' ]", "")
    value = ungrouped.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return value.set(~value.is_finite().fill_null(value=True), None)


def number_form(parts: Iterable[pl.Series]) -> Form:
    """Return the decimal mark of a column of numbers: a point where no value shows another."""
    return _form(parts, read_numbers)[0]


def price_form(parts: Iterable[pl.Series]) -> Form:
    """Return the decimal mark of a column of prices.

    Values that only one mark can read decide; ``1,234``, which both can, follows them. Where all
    are of that kind, three digits after a mark are thousands.
    """
    form, n_ranges = _form(parts, read_prices, thousands=True)
    ranges = f"{n_ranges} ranges count by their lower end" if n_ranges else ""
    return form._replace(said="; ".join(filter(None, (form.said, ranges))))


def _form(
    parts: Iterable[pl.Series],
    read: Callable[[pl.Series, str], pl.Series],
    *,
    thousands: bool = False,
) -> tuple[Form, int]:
    """Return the form of a column, and the number of values that are a range."""
    n_point = n_comma = n_ranges = 0
    unclear: str | None = None
    for part in parts:
        texts = part.unique(maintain_order=True)
        point, comma = read(texts, "point"), read(texts, "comma")
        only_point, only_comma, ranges = counted(
            point.is_not_null() & comma.is_null(),
            comma.is_not_null() & point.is_null(),
            (point.is_not_null() | comma.is_not_null()) & texts.str.contains(_RANGE),
        )
        n_point, n_comma, n_ranges = n_point + only_point, n_comma + only_comma, n_ranges + ranges
        both = (point != comma).fill_null(value=False)
        unclear = next(iter(texts.filter(both)), None) if unclear is None else unclear
    is_guess = unclear is not None and n_point == n_comma == 0
    has_point = is_guess and re.search(r"\d\.\d", unclear or "")
    mark = "comma" if n_comma > n_point or (thousands and has_point) else "point"
    said = ["decimal comma"] if n_comma > n_point else []
    if unclear is not None:
        guess = f", a guess; the other is {MARKS[mark == 'point']}" if is_guess else ""
        said.append(f"'{unclear}' is {read(pl.Series([unclear]), mark)[0]:.10g}{guess}")
    return Form(mark, "; ".join(said)), n_ranges
