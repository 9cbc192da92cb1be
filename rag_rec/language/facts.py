"""Words, numbers and names of a sentence, as reasons and their evidence are compared by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_UNITS = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty"""
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80}
_REST = {"ninety": 90, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "dozen": 12}
_NUMBER_WORDS: dict[str, int] = {
    **{word: number for number, word in enumerate(_UNITS.split(), start=2)},
    **_TENS,
    **_REST,
}

_PRAISE = re.compile(
    r"\b(award|prize|winn|won\b|medal|trophy|certif|approv|patent|licen[cs]ed|bestsell|best-sell"
    r"|top-rated|number one|voted|crowned|champion|acclaim|renown|famous|celebrat|endors"
    r"|recommended by"
    r"|guarant|warrant|lifetime|organic|vegan|fair-?trade|discount|sale\b|free\b|refund|clinical"
    r"|proven|scientif|doctor|official|exclusive|limited edition|finalist|nominat|shortlist|honou?r"
    r"|distinction|accolade|laureate|featured|royal)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
_ENDINGS = re.compile(r"(?:’s|'s|ingly|edly|ings?|ies|ed|es|ly|s|y|e)$")
_AMOUNT = r"(\d+(?:[.,]\d+)*)"
_PRICE = re.compile(
    rf"[$€£¥]\s?{_AMOUNT}|{_AMOUNT}\s?(?:[$€£¥]|euros?\b|pounds?\b|dollars?\b|eur\b|gbp\b|usd\b)"
    rf"|\b(?:costs?|costing|priced?|prices|price tag)\s(?:at |of |is |just |only )*{_AMOUNT}",
    re.IGNORECASE,
)
_UNIT = (
    r"(?:[km]?g|[kcm]?m|[mc]?l|litres?|liters?|grams?|kilos?|min|minutes?|h|hours?|days?|weeks?"
    r"|months?|years?|pages|watts?|w|inch\w*|pieces|percent|degrees?|words|steps|items)\b|[%°]"
)
_LIMIT = re.compile(
    r"\b(?:under|below|less than|at most|no more than)\s[$€£¥]?\s?"
    rf"{_AMOUNT}(?!\s?(?:{_UNIT}))(?!\d)",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_][\w'-]*")
_STARTS = '.!?:;“"‘(«„–—'
_QUOTES = str.maketrans({"’": "'", "‘": "‘", "`": "'"})

# words that carry no fact of the item, and those a recommendation is made of
_PLAIN = """
a about after again all already also always am an and another any are as at be because been before
being best better both but by can choice choose could customer customers did do does done each
either else enjoy enjoyed even ever every everything excellent fan favourite favorite few fine first
fit fits for from further get gets give given gives go goes good great had has have having he her
here him his how i if ideal in into is it item items its just keep know last later least less let
like liked likes little look looking looks lot love loved loves made make makes many match matches
may maybe mention mentioned mentions might more most much must my need needs next nice no nor not
note noted notes now of off often on once one only or other others our out over own people perfect
perfectly pick please praise praised praises product purchase purchased quite rather read really
reason recommend recommended reviewer reviewers review reviews right said same say says see seem
seems she should similar since so some something still such suit suits sure take taken takes than
that the their them then there these they thing things think this those though through to together
too took tried try under until up upon us use used useful user uses very want wanted wants was way
we well were what when where which while who whom whose why will wish with within without wonderful
worth would you your yours bought buy buying owned pairs pair alongside add adds adding complement
complements history based interest interested taste tastes"""
_GENERIC = frozenset(_PLAIN.split())


def spoken_text(text: str) -> str:
    """A text with its apostrophes made alike."""
    return text.translate(_QUOTES)


def words_of(text: str) -> list[str]:
    """Words, case-folded, possessive ``'s`` removed; parts of hyphenated words follow them."""
    found: list[str] = []
    for match in _WORD.finditer(text.casefold().replace("’", "'")):
        word = match[0].removesuffix("'s")
        found.append(word)
        if "-" in word:
            found += word.split("-")
    return found


def numbers_in(text: str) -> set[float]:
    """Numbers written in digits or words.

    >>> sorted(numbers_in("two of 1,200 at 12,50"))
    [2.0, 12.5, 1200.0]
    """
    digits = {_value(match[0]) for match in _NUMBER.finditer(text)}
    return digits | {float(_NUMBER_WORDS[word]) for word in words_of(text) if word in _NUMBER_WORDS}


def _value(digits: str) -> float:
    head, mark, tail = digits.replace(",", ".").rpartition(".")
    if not mark:
        return float(digits)
    thousands = len(tail) == 3 and "." not in digits[digits.find(",") + 1 :] and "," in digits
    return float(head.replace(".", "") + ("" if thousands else ".") + tail)


def limits_in(text: str) -> set[float]:
    """Prices that something is said to stay under.

    >>> limits_in("under £40, and under 3 kg")
    {40.0}
    """
    return {_value(match[1]) for match in _LIMIT.finditer(text)}


def prices_in(text: str) -> set[float]:
    """Prices that something is said to have.

    >>> sorted(prices_in("costs 12.50, not £14; under £40"))
    [12.5, 14.0]
    """
    found = [next(filter(None, match.groups())) for match in _PRICE.finditer(_LIMIT.sub("", text))]
    return {_value(digits) for digits in found}


def stem(word: str) -> str:
    """A word without its commonest English endings; crude, and the same for both sides."""
    short = _ENDINGS.sub("", word)
    return short if len(short) >= 3 else word


def content_stems(text: str) -> set[str]:
    """Stems of the words that carry a fact."""
    return {stem(word) for word in words_of(text) if word not in _GENERIC and len(word) > 2}


def praise_in(text: str) -> set[str]:
    """Claims of the kind that somebody else would have to have granted."""
    return {match[1].casefold() for match in _PRAISE.finditer(text)}


def names_in(text: str) -> Iterator[str]:
    """Capitalised words that do not begin a sentence or a quotation.

    >>> list(names_in("Made by Anna in Ulm. It lasts."))
    ['Anna', 'Ulm']
    """
    for match in _NAME.finditer(text):
        before = text[: match.start()].rstrip()
        if before and before[-1] not in _STARTS and match[0][0].isupper() and match[0] != "I":
            yield match[0]


def brands_in(text: str, is_brand: Callable[[str], bool]) -> Iterator[str]:
    """Runs of up to four words that begin with a capital and are a known brand, case-folded."""
    words = re.findall(r"\w+(?:['-]\w+)*|&", text)
    for start, word in enumerate(words):
        if not word[0].isupper():
            continue
        for n in range(4, 0, -1):
            name = " ".join(words[start : start + n]).casefold().removesuffix("'s")
            if name not in _GENERIC and is_brand(name):
                yield " ".join(re.findall(r"\w+", name))
                break
