"""The kinds of values: their types, and how a column's form is found and its values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import polars as pl

from rag_rec.core import ConfigError
from rag_rec.data.values.base import Form
from rag_rec.data.values.lists import SEPARATORS, list_form, literal, read_lists, separators
from rag_rec.data.values.numbers import MARKS, number_form, price_form, read_numbers, read_prices
from rag_rec.data.values.texts import decoded, is_gap, read_flags
from rag_rec.data.values.times import FORMS as TIME_FORMS
from rag_rec.data.values.times import read_dates, read_times, time_form

ValueKind = Literal[
    "id", "text", "prose", "name", "number", "price", "time", "date", "flag", "list"
]
_TEXTS = ("id", "text", "prose", "name")


def _no_form(_: Iterable[pl.Series]) -> Form:
    return Form()


class ValueType(NamedTuple):
    """One kind of value.

    Attributes:
        dtype: Its polars type.
        expected: The words for it in messages.
        read: Function from stripped texts and the name of a form to values; null if unreadable.
        form_of: Function from all texts of a column, in parts, to their form.
        forms: Names of the forms, for messages.
    """

    dtype: pl.DataType
    expected: str
    read: Callable[[pl.Series, str], pl.Series]
    form_of: Callable[[Iterable[pl.Series]], Form] = _no_form
    forms: tuple[str, ...] = ()


def _as_is(text: pl.Series, _: str) -> pl.Series:
    return text


def _text(text: pl.Series, _: str) -> pl.Series:
    return decoded(text)


def _joined(by: str) -> Callable[[pl.Series, str], pl.Series]:
    """Return a reader of texts that joins the parts of one that is a list."""

    def read(text: pl.Series, _: str) -> pl.Series:
        lists = text.set(~text.str.contains(r"(?s)^\[.*\]$"), None)
        if not lists.count():
            return decoded(text)
        joined = literal(lists).list.join(by)
        return decoded(joined.zip_with(joined.is_not_null(), text))

    return read


KINDS: Mapping[ValueKind, ValueType] = {
    "id": ValueType(pl.String(), "a non-empty id", _as_is),
    "text": ValueType(pl.String(), "text", _text),
    "prose": ValueType(pl.String(), "text", _joined("\n")),
    "name": ValueType(pl.String(), "a name", _joined(", ")),
    "number": ValueType(pl.Float64(), "a finite number", read_numbers, number_form, MARKS),
    "price": ValueType(
        pl.Float64(),
        "a price of 0 or more, such as 12.50 or $12.50",
        read_prices,
        price_form,
        MARKS,
    ),
    "time": ValueType(
        pl.Int64(),
        "unix seconds or milliseconds, or a date and time such as 2024-05-01 12:00:00",
        read_times,
        time_form,
        TIME_FORMS,
    ),
    "date": ValueType(pl.Date(), "a date such as 2024-05-01", read_dates, time_form, TIME_FORMS),
    "flag": ValueType(pl.Boolean(), "true or false", read_flags, number_form, MARKS),
    "list": ValueType(pl.List(pl.String()), "a list of names", read_lists, list_form),
}


def form_named(kind: ValueKind, name: str) -> Form:
    """Return the form that a user chose for a column.

    Raises:
        ConfigError: If columns of this kind have no such form.
    """
    forms = KINDS[kind].forms
    if kind == "list" and separators(name) is None:
        raise ConfigError(f"'{name}' separates no names; use one or more of {SEPARATORS}")
    if kind != "list" and name not in forms:
        choice = f"use {' or '.join(forms)}" if forms else "it is read in one way only"
        raise ConfigError(f"no form '{name}' of {KINDS[kind].expected}; {choice}")
    return Form(name)


def gaps_in(text: pl.Series, kind: ValueKind) -> pl.Series:
    """Mark the values that stand for a missing one."""
    return is_gap(text, exact=kind in _TEXTS)
