"""Numbers and prices in prose, of requests and of reasons alike."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag_rec.core import CURRENCY_SIGNS
from rag_rec.language.words import words_of

AMOUNT = r"(?<!\d)(?<!\d[.,])((?>\d+(?:[.,]\d+)*))"
"""Pattern of a number in digits, one group; whole, so that no part of a longer number matches, and
none is looked for at every digit of a long one."""

_UNIT = (
    r"(?:[km]?g|[kcm]?m|[mc]?l|litres?|liters?|grams?|kilos?|min|minutes?|h|hours?|days?|weeks?"
    r"|months?|years?|pages|watts?|w|inch\w*|pieces|percent|degrees?|words|steps|items|people)\b"
    r"|[%°]"
)
PRICE = rf"(?:[{CURRENCY_SIGNS}]\s?)?{AMOUNT}(?!\s*(?:{_UNIT}))"
"""Pattern of a number that can be a price: it may carry a currency sign, and no other unit."""

BELOW = "(?:under|below|less than|cheaper than)"
ABOVE = "(?:over|above|more than)"
"""Patterns of the words before a price that is an exclusive bound."""

_LIMIT = re.compile(rf"\b(?:{BELOW}|at most|no more than)\s{PRICE}", re.IGNORECASE)
_STATED = re.compile(
    rf"[{CURRENCY_SIGNS}]\s?{AMOUNT}|{AMOUNT}\s?(?:[{CURRENCY_SIGNS}]|euros?\b|pounds?\b|dollars?\b|eur\b|gbp\b|usd\b)"
    rf"|\b(?:costs?|costing|priced?|prices|price tag)\s(?:at |of |is |just |only )*{AMOUNT}",
    re.IGNORECASE,
)
_UNITS = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty"""
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80}
_REST = {"ninety": 90, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "dozen": 12}
_NUMBER_WORDS = {word: n for n, word in enumerate(_UNITS.split(), start=2)} | _TENS | _REST


def amount_of(digits: str) -> float:
    """Return the value of a match of `AMOUNT`; a comma before three last digits marks thousands.

    So do several points without a comma.

    >>> amount_of("1,200"), amount_of("12,50"), amount_of("1.234,5"), amount_of("1.234.567")
    (1200.0, 12.5, 1234.5, 1234567.0)
    """
    head, mark, tail = digits.replace(",", ".").rpartition(".")
    if not mark:
        return float(digits)
    english = "," in digits and "." not in digits[digits.find(",") + 1 :]
    thousands = len(tail) == 3 and (english or ("," not in digits and digits.count(".") > 1))
    return float(head.replace(".", "") + ("" if thousands else ".") + tail)


def digits_in(text: str) -> set[float]:
    """Return the numbers written in digits."""
    return _amounts(re.findall(AMOUNT, text))


def numbers_in(text: str) -> set[float]:
    """Return the numbers written in digits or words.

    >>> sorted(numbers_in("two of 1,200 at 12,50"))
    [2.0, 12.5, 1200.0]
    """
    words = set(words_of(text)) & _NUMBER_WORDS.keys()
    return digits_in(text) | {float(_NUMBER_WORDS[word]) for word in words}


def limits_in(text: str) -> set[float]:
    """Return the prices that something is said to stay under.

    >>> limits_in("under £40, and under 3.5 kg")
    {40.0}
    """
    return _amounts(_LIMIT.findall(text))


def prices_in(text: str) -> set[float]:
    """Return the prices that something is said to have.

    >>> sorted(prices_in("costs 12.50, not £14; under £40"))
    [12.5, 14.0]
    """
    return _amounts("".join(groups) for groups in _STATED.findall(_LIMIT.sub("", text)))


def _amounts(found: Iterable[str]) -> set[float]:
    return {amount_of(digits) for digits in found}
