"""Words of a text, as reasons, requests and their evidence are compared."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_ENDINGS = re.compile(r"(?:'s|ingly|edly|ings?|ies|ed|es|ly|s|y|e)$")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'"})
_PRAISE = re.compile(
    r"\b(award|prize|winn|won\b|medal|trophy|certif|approv|patent|licen[cs]ed|bestsell|best-sell"
    r"|top-rated|number one|voted|crowned|champion|acclaim|renown|famous|celebrat|endors"
    r"|recommended by"
    r"|guarant|warrant|lifetime|organic|vegan|fair-?trade|discount|sale\b|free\b|refund|clinical"
    r"|proven|scientif|doctor|official|exclusive|limited edition|finalist|nominat|shortlist|honou?r"
    r"|distinction|accolade|laureate|featured|royal)",
    re.IGNORECASE,
)

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
PLAIN_WORDS = frozenset(_PLAIN.split())


def straight_quotes(text: str) -> str:
    """Return a text with every apostrophe written as ``'``."""
    return text.translate(_APOSTROPHES)


def words_of(text: str) -> list[str]:
    """Return the words, case-folded, without possessive ``'s``; hyphenated ones also in parts.

    >>> words_of("Anna’s pour-over kettle, 2 l")
    ['anna', 'pour-over', 'pour', 'over', 'kettle', 'l']
    """
    found: list[str] = []
    for match in _WORD.finditer(straight_quotes(text).casefold()):
        word = match[0].removesuffix("'s")
        found += [word, *word.split("-")] if "-" in word else [word]
    return found


def spaced_words(text: str) -> str:
    """Return words and numbers, case-folded and joined by one space, without punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def stem(word: str) -> str:
    """Return a word without its commonest English endings, at least three letters of it."""
    short = _ENDINGS.sub("", word)
    return short if len(short) >= 3 else word


def beginnings_of(text: str) -> set[str]:
    """Return the first six letters of each word without its plural s; coarser than `stem`.

    >>> beginnings_of("teapots") == beginnings_of("a teapot")
    True
    """
    words = [word for word in words_of(text) if len(word) > 2 and "-" not in word]
    return {word.removesuffix("s")[:6] for word in words}


def content_stems(text: str) -> set[str]:
    """Return the stems of the words that carry a fact."""
    return {stem(word) for word in words_of(text) if word not in PLAIN_WORDS and len(word) > 2}


def praise_in(*texts: str) -> set[str]:
    """Return the words of praise that a third party must have granted, such as awards."""
    return {match[1].casefold() for text in texts for match in _PRAISE.finditer(text)}
