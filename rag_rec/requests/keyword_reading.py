"""Understands a request without a model: prices, years, and names of the catalog."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rag_rec.constraints import where
from rag_rec.core import Constraints, Understood, one_line
from rag_rec.language import Mention, Names

_N = r"(?:[$€£¥]\s?)?(\d+(?:[.,]\d{1,2})?)(?![\d.,]*\d)"
_UNIT = r"(?!\s*(?:km|kg|cm|mm|m|g|l|ml|min|minutes?|hours?|days?|years?|people|items|%)\b)"
_STRICT_MAX = rf"(?:under|below|less than|cheaper than)\s(?:for\s)?{_N}{_UNIT}"
_MAX = (
    rf"(?:at most|up to|max(?:imum)?(?: of)?|no more than|not more than|nothing (?:over|above)"
    rf"|not over|budget(?: of| is)?:?|within)\s{_N}{_UNIT}|{_N}{_UNIT}\s(?:\w+\s)?at most"
)
_STRICT_MIN = rf"(?<!no )(?<!not )(?<!nothing )(?:over|above|more than)\s{_N}{_UNIT}"
_MIN = rf"(?:at least|from|minimum(?: of)?)\s{_N}{_UNIT}(?!\s?(?:on|or later))"
_RANGE = rf"(?:between\s)?{_N}\s?(?:and|to|-|–)\s?{_N}{_UNIT}"
_ABOUT = rf"(?:around|about|roughly)\s{_N}{_UNIT}"
_YEAR = r"((?:19|20)\d\d)\b"

_PRICES: tuple[tuple[str, Callable[[float, float], str]], ...] = (
    (_RANGE, lambda low, high: f"price>={low} and price<={high}"),
    (_ABOUT, lambda n, _: f"price>={round(n * 0.8, 2)} and price<={round(n * 1.2, 2)}"),
    (_MAX, lambda n, _: f"price<={n}"),
    (_STRICT_MAX, lambda n, _: f"price<{n}"),
    (_STRICT_MIN, lambda n, _: f"price>{n}"),
    (_MIN, lambda n, _: f"price>={n}"),
)
_YEARS: Mapping[str, str] = {
    rf"(?:after|later than|newer than)\s{_YEAR}": "released>{}-12-31",
    rf"(?:since|from)\s{_YEAR}|{_YEAR}\sor (?:later|newer)": "released>={}-01-01",
    rf"(?:before|older than)\s{_YEAR}": "released<{}-01-01",
}
_NOT = re.compile(
    r"(?:\bno|\bnot|\bnot from|\bnot by|\bwithout|\bexcept(?: for)?|\banything but|\bavoid|\bbut no"
    r"|\bnothing (?:by|from)|\bno more|\bnever)(?:\s(?:any|a|an|the|more))?\s*$",
    re.IGNORECASE,
)
_ANY_STOCK = re.compile(r"(?:even if|also if|may be).{0,12}out of stock", re.IGNORECASE)
_DIFFERENT = re.compile(r"(?:different|distinct) brands|brand only once", re.IGNORECASE)


def by_keywords(request: str, names: Names) -> Understood:
    """Constraints that the words of a request state; everything else is query text.

    A category or brand that is named is wanted, or unwanted after "no", "not", "without" and the
    like. What is implied ("my sister has all the pencils") is not understood.
    """
    text = one_line(request)
    conditions, spans = list[str](), list[tuple[int, int]]()
    for found, span in (*_amounts(text), *_named(text, names)):
        conditions.append(found)
        spans.append(span)
    for pattern, condition in ((_ANY_STOCK, "in_stock=any"), (_DIFFERENT, "max_per_brand=1")):
        if match := pattern.search(text):
            conditions.append(condition)
            spans.append(match.span())
    asked = where(" and ".join(conditions)) if conditions else Constraints()
    return Understood(request=request, constraints=asked, query=text, how="keywords")


def _amounts(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Conditions on price and date; a stretch of text is read once."""
    rest = text
    for pattern, template in _YEARS.items():
        for match in re.finditer(pattern, rest, re.IGNORECASE):
            yield template.format(next(filter(None, match.groups()))), match.span()
            rest = _blanked(rest, match.span())
    bounds: dict[str, Any] = {}
    for pattern, condition_of in _PRICES:
        for match in re.finditer(pattern, rest, re.IGNORECASE):
            numbers = [float(n.replace(",", ".")) for n in match.groups() if n is not None]
            low, high = numbers[0], numbers[-1]
            sides = "<" in condition_of(low, high), ">" in condition_of(low, high)
            if low <= high and sides not in bounds.values():
                bounds[pattern] = sides
                yield condition_of(low, high), match.span()
            rest = _blanked(rest, match.span())


def _named(text: str, names: Names) -> Iterator[tuple[str, tuple[int, int]]]:
    wanted: dict[str, list[Mention]] = {"category": [], "brand": []}
    end_of_unwanted = -10
    for mention in names.mentions(text):
        before = text[: mention.start]
        joined = re.fullmatch(r"\s*(?:,|or|nor)\s*", text[end_of_unwanted : mention.start])
        if _NOT.search(before) or joined:
            end_of_unwanted = mention.end
            yield f'not {mention.field}="{mention.name}"', (mention.start, mention.end)
        else:
            wanted[mention.field].append(mention)
    for field, mentions in wanted.items():
        if mentions:
            listed = ", ".join(f'"{mention.name}"' for mention in mentions)
            yield f"{field} in ({listed})", (mentions[0].start, mentions[-1].end)


def _blanked(text: str, span: tuple[int, int]) -> str:
    return text[: span[0]] + " " * (span[1] - span[0]) + text[span[1] :]
