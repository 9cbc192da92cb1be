"""Times and dates; the order of day and month is that of the column, not of the row."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import polars as pl

from rag_rec.data.values.base import Form, counted, fields, in_turn

FORMS = ("month-first", "day-first", "yyyymmdd")

_ZONE = r"(?P<zone>Z|UTC|GMT|(?:UTC|GMT)?\s?[+-]\d{2}(?::?\d{2})?)(?:\s(?:UTC|GMT))?"
_CLOCK = r"(?P<hour>\d{1,2})[:.h](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,]\d+)?)?"
_TIME = (
    rf"(?:(?:,?\s+(?:at\s|um\s)?|T){_CLOCK}\s*(?P<half>[ap]\.?m\.?)?(?:\sUhr)?(?:\s*{_ZONE})?"
    r"(?:\[[\w/]+\]|\s?\([\w\s]+\))?)?"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_MONTH = r"(?P<name>[a-zäéû]{3,9})\.?"
_ISO = rf"(?i)^(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})(?:[-/.](?P<day>\d{{1,2}}))?{_TIME}$"
_EASTERN = rf"^(?P<year>\d{{4}})年(?P<month>\d{{1,2}})月(?:(?P<day>\d{{1,2}})日)?{_TIME}$"
_NUMERIC = (
    r"(?i)^(?P<one>\d{1,2})(?P<mark>[-/. ])\s?(?P<two>\d{1,2})[-/., ]\s?"
    rf"(?P<year>\d{{4}}|\d{{2}}){_TIME}$"
)
_NAMED = (
    rf"(?i)^{_WEEKDAY}{_DAY}[-. /]+{_MONTH}[-, /]+(?P<year>\d{{4}}|\d{{2}}){_TIME}$",
    rf"(?i)^{_WEEKDAY}{_MONTH}[ -]{_DAY},?[ -](?P<year>\d{{4}}){_TIME}$",
    rf"(?i)^{_MONTH},?[ -](?P<year>\d{{4}})$",
    rf"(?i)^{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}})\s{_CLOCK}(?:\s{_ZONE})?\s(?P<year>\d{{4}})$",
)
_DIGITS = (
    r"^(?P<year>(?:19|20)\d\d)(?:(?P<month>0[1-9]|1[0-2])(?:(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:T?(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?P<second>[0-5]\d)?)?)?)?$"
)
_YEAR = r"^(?P<year>1\d{3}|20\d\d)(?:\.0+)?$"
_NUMBER = r"^-?\d+(?:\.\d*)?(?:e\+?\d+)?$"

_LEAST_EPOCH = 100_000_000
"""Seconds until March 1973: below, a number in a column of dates is no time."""

_MONTHS = {
    name: str(number)
    for number, names in enumerate(
        ("jan ene", "feb fév", "mar mär mrz", "apr avr abr", "may mai", "jun", "jul", "aug aoû ago",
         "sep", "oct okt", "nov", "dec dez déc dic"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip


def time_form(parts: Iterable[pl.Series]) -> Form:
    """Return the form of a column of dates: which of day and month comes first.

    Dates with a number above 12 decide. Where none has one, days come first between dots and
    dashes, months between slashes. A column of which every number is ``yyyymmdd``, or the
    beginning of one, is read so.
    """
    n_day = n_month = n_digits = n_numbers = 0
    unclear: tuple[str, bool] | None = None
    for part in parts:
        is_number = part.str.contains(_NUMBER)
        numbers, digits = counted(is_number, part.str.contains(_DIGITS))
        n_numbers, n_digits = n_numbers + numbers, n_digits + digits
        written = part.filter(~is_number)
        found = (
            fields(written, _NUMERIC)
            .select("one", "two", "mark")
            .cast({"one": pl.Int32, "two": pl.Int32})
        )
        first, second = found["one"], found["two"]
        day, month = counted((first > 12) & (second <= 12), (second > 12) & (first <= 12))
        n_day, n_month = n_day + day, n_month + month
        if unclear is None and first.count():
            at = int(first.is_not_null().arg_true()[0])
            unclear = written[at], found["mark"][at] in ".-"
    if n_digits and n_digits == n_numbers:
        return Form("yyyymmdd", "numbers are dates such as 20240501")
    if unclear is None:
        return Form("month-first")
    is_guess = n_day == n_month == 0
    days_first = unclear[1] if is_guess else n_day > n_month
    name, other = ("day-first", "month-first") if days_first else ("month-first", "day-first")
    guess = f", a guess; the other is {other}" if is_guess else ""
    return Form(name, f"'{unclear[0]}' is {name}{guess}")


def read_times(text: pl.Series, form: str) -> pl.Series:
    """Read Unix seconds from seconds, milli-, micro- or nanoseconds, or from a written time.

    A time without a zone counts as UTC.
    """
    if form == "yyyymmdd":
        return _written(text, form, zoned=True).dt.epoch("s")
    return in_turn(text, _seconds, lambda rest: _written(rest, form, zoned=True).dt.epoch("s"))


def read_dates(text: pl.Series, form: str) -> pl.Series:
    """Read the day of a date or time, as written; a year or month alone is its first day."""
    return in_turn(
        text,
        lambda rest: _by_pattern(rest, _YEAR, form, zoned=False).dt.date(),
        lambda rest: _written(rest, form, zoned=False).dt.date(),
        _days,
    )


def _seconds(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Float64, strict=False)
    size = number.abs()
    frame = pl.select(
        pl.when(size < 1e11).then(number)
        .when(size < 1e14).then(number / 1e3)
        .when(size < 1e17).then(number / 1e6)
        .when(size < 1e20).then(number / 1e9)
    )  # fmt: skip
    return frame.to_series().cast(pl.Int64, strict=False)


def _days(text: pl.Series) -> pl.Series:
    """Read the day of a time in Unix seconds or finer; small numbers are no dates."""
    seconds = _seconds(text)
    return pl.from_epoch(seconds.set(seconds.abs() < _LEAST_EPOCH, None)).dt.date()


def _written(text: pl.Series, form: str, *, zoned: bool) -> pl.Series:
    """Read a date with or without a time; in UTC if `zoned`, else as the clock there showed."""
    patterns = (_ISO, _NUMERIC, *_NAMED, _DIGITS, _EASTERN)
    return in_turn(
        text,
        lambda rest: rest.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False),
        *(partial(_by_pattern, pattern=pattern, form=form, zoned=zoned) for pattern in patterns),
    )


def _by_pattern(text: pl.Series, pattern: str, form: str, *, zoned: bool) -> pl.Series:
    found = fields(text, pattern)
    if "one" in found:
        order = ["day", "month"] if form == "day-first" else ["month", "day"]
        found = found.rename(dict(zip(["one", "two"], order, strict=True)))
    given = set(found.columns)

    def part(name: str, otherwise: str) -> pl.Expr:
        value = pl.col(name) if name in given else pl.lit(None, pl.String)
        return value.fill_null(otherwise).str.zfill(2)

    month = part("month", "1")
    if "name" in given:
        short = pl.col("name").str.to_lowercase().str.slice(0, 3)
        month = short.replace_strict(_MONTHS, default=None, return_dtype=pl.String).str.zfill(2)
    hour = part("hour", "0").cast(pl.Int32)
    if "half" in given:
        half = pl.col("half").str.to_lowercase().str.slice(0, 1)
        hour = pl.when(half.is_not_null()).then(hour % 12 + 12 * (half == "p")).otherwise(hour)
    years = pl.col("year").cast(pl.Int32)
    century = pl.when(years < 70).then(2000).when(years < 100).then(1900).otherwise(0)
    clock = (hour.cast(pl.String).str.zfill(2), part("minute", "0"), part("second", "0"))
    written = pl.format("{}-{}-{} {}:{}:{}", years + century, month, part("day", "1"), *clock)
    local = written.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    return found.select(local - _offset(given) if zoned else local).to_series()


def _offset(given: set[str]) -> pl.Expr:
    zone = pl.col("zone") if "zone" in given else pl.lit(None, pl.String)
    found = zone.str.extract_groups(r"([+-])(\d{2}):?(\d{2})?$").struct
    sign = pl.when(found.field("1") == "-").then(-1).otherwise(1)
    hours, minutes = (found.field(n).cast(pl.Int64).fill_null(0) for n in ("2", "3"))
    return pl.duration(minutes=sign * (60 * hours + minutes))


def moment_of(text: str) -> int | None:
    """Return the Unix seconds of one time as a person writes it; None if it is none."""
    found = read_times(pl.Series([text.strip()]), "month-first")[0]
    return None if found is None else int(found)
