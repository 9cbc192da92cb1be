"""Read a request without a model: prices, years, and names of the catalog."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date

from rag_rec.constraints import both, price_bounds, release_bounds
from rag_rec.core import Constraints, Understood, one_line
from rag_rec.language import ABOVE, BELOW, PRICE, Names, amount_of

_AT_MOST = (
    r"(?:at most|up to|max(?:imum)?(?: of)?|no more than|not more than|nothing (?:over|above)"
    r"|not over|budget(?: of| is)?:?|within)"
)
_AT_LEAST = r"(?:at least|from|minimum(?: of)?)"
# for each pattern the signs of its bounds, and the factors of the prices it names
_PRICES: Mapping[str, Mapping[str, float]] = {
    rf"(?:between\s)?{PRICE}\s?(?:and|to|-|–)\s?{PRICE}": {">=": 1, "<=": 1},
    rf"(?:around|about|roughly)\s{PRICE}": {">=": 0.8, "<=": 1.2},
    rf"{_AT_MOST}\s{PRICE}|{PRICE}\s(?:\w+\s)?at most": {"<=": 1},
    rf"{BELOW}\s(?:for\s)?{PRICE}": {"<": 1},
    rf"(?<!no )(?<!not )(?<!nothing ){ABOVE}\s{PRICE}": {">": 1},
    rf"{_AT_LEAST}\s{PRICE}(?!\s?(?:on|or later))": {">=": 1},
}
_YEAR = r"((?:19|20)\d\d)\b"
_YEARS: Mapping[str, Callable[[int], Constraints]] = {
    rf"(?:after|later than|newer than)\s{_YEAR}": lambda y: release_bounds(">", date(y, 12, 31)),
    rf"(?:since|from)\s{_YEAR}|{_YEAR}\sor (?:later|newer)": lambda y: release_bounds(
        ">=", date(y, 1, 1)
    ),
    rf"(?:before|older than)\s{_YEAR}": lambda y: release_bounds("<", date(y, 1, 1)),
}
_PHRASES: Mapping[str, Constraints] = {
    r"(?:even if|also if|may be).{0,12}out of stock": Constraints(allow_out_of_stock=True),
    r"(?:different|distinct) brands|brand only once": Constraints(max_per_brand=1),
}
_NOT = re.compile(
    r"(?:\bno|\bnot|\bnot from|\bnot by|\bwithout|\bexcept(?: for)?|\banything but|\bavoid|\bbut no"
    r"|\bnothing (?:by|from)|\bno more|\bnever)(?:\s(?:any|a|an|the|more))?\s*$",
    re.IGNORECASE,
)
_NEAR = 40
"""Characters before a name that `_NOT` is looked for in; more than its longest match."""


def by_keywords(request: str, names: Names) -> Understood:
    """Return the constraints that the words of a request state; the whole text is searched for.

    A category or brand in the text is wanted, or unwanted after "no", "not", "without" and the
    like. Implications ("my sister has all the pencils") are not understood.

    Raises:
        ConfigError: If the stated bounds contradict each other.
    """
    text = one_line(request)
    stated = [asked for phrase, asked in _PHRASES.items() if re.search(phrase, text, re.IGNORECASE)]
    asked = both(*_bounds(text), _named(text, names), *stated)
    return Understood(request=request, constraints=asked, query=text, how="keywords")


def _bounds(text: str) -> Iterator[Constraints]:
    """Yield bounds of date and price; a stretch of text is read once, a bound stated once."""
    rest = text
    for pattern, bounds_of in _YEARS.items():
        for match in re.finditer(pattern, rest, re.IGNORECASE):
            yield bounds_of(int(next(filter(None, match.groups()))))
        rest = _blanked(rest, pattern)
    known: set[frozenset[str]] = set()
    for pattern, factors in _PRICES.items():
        sides = frozenset(sign[0] for sign in factors)
        for match in re.finditer(pattern, rest, re.IGNORECASE):
            amounts = [amount_of(digits) for digits in match.groups() if digits]
            low, high = amounts[0], amounts[-1]
            if low > high or sides in known:
                continue
            known.add(sides)
            for sign, factor in factors.items():
                yield price_bounds(sign, round((low if sign[0] == ">" else high) * factor, 2))
        rest = _blanked(rest, pattern)


def _blanked(text: str, pattern: str) -> str:
    return re.sub(pattern, lambda match: " " * len(match[0]), text, flags=re.IGNORECASE)


def _named(text: str, names: Names) -> Constraints:
    found: defaultdict[tuple[str, bool], set[str]] = defaultdict(set)
    end_of_unwanted = -10
    for mention in names.mentions(text):
        begin = max(0, mention.start - _NEAR)
        joined = re.fullmatch(
            r"\s*(?:,|or|nor)\s*", text[max(begin, end_of_unwanted) : mention.start]
        )
        unwanted = bool(_NOT.search(text[begin : mention.start]) or joined)
        found[mention.field, unwanted].add(mention.name)
        if unwanted:
            end_of_unwanted = mention.end
    return Constraints(
        categories=frozenset(found["category", False]),
        not_categories=frozenset(found["category", True]),
        brands=frozenset(found["brand", False]),
        not_brands=frozenset(found["brand", True]),
    )
