"""Names in running text: the catalog's categories and brands, and capitalised words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from rag_rec.constraints import fold
from rag_rec.core import prompt_safe
from rag_rec.language.words import PLAIN_WORDS, spaced_words, straight_quotes

_WORD = re.compile(r"[\w'&-]+")
_LONGEST = 5
_LONGEST_BRAND = 4
_STARTS = '.!?:;“"‘(«„–—'

Field = Literal["category", "brand"]


@dataclass(frozen=True, slots=True)
class Mention:
    """A name of the catalog in a text, and its position there."""

    field: Field
    name: str
    start: int
    end: int


class Names:
    """Categories and brands of one catalog.

    Args:
        categories: Category names as the catalog writes them.
        brands: Brand names as the catalog writes them.

    Attributes:
        categories: The names by their folded form, as a prompt shows them.
        brands: The same for brands.
    """

    def __init__(self, categories: Iterable[str], brands: Iterable[str]) -> None:
        self.categories = {fold(prompt_safe(name)): name for name in categories}
        self.brands = {fold(prompt_safe(name)): name for name in brands}
        self._known: dict[str, tuple[Field, str]] = {}
        for folded, name in self.categories.items():
            for form in (_spaced(folded), _singular(_spaced(folded))):
                self._known.setdefault(form, ("category", name))
        for folded, name in self.brands.items():
            self._known[_spaced(folded)] = ("brand", name)

    def mentions(self, text: str) -> Iterator[Mention]:
        """Yield the names in a text, the longest at each place, left to right, not overlapping."""
        words = list(_WORD.finditer(straight_quotes(text)))
        folded = [word[0].strip("'").casefold() for word in words]
        at = 0
        while at < len(words):
            for n in range(min(_LONGEST, len(words) - at), 0, -1):
                phrase = " ".join(folded[at : at + n])
                known = self._known.get(phrase) or self._known.get(_singular(phrase))
                if known:
                    yield Mention(*known, words[at].start(), words[at + n - 1].end())
                    at += n - 1
                    break
            at += 1


def _spaced(name: str) -> str:
    return " ".join(word.strip("'") for word in _WORD.findall(straight_quotes(name)))


def _singular(phrase: str) -> str:
    """Return a phrase with the plural ending of its last word removed."""
    if phrase.endswith("ies") and len(phrase) > 5:
        return phrase[:-3] + "y"
    if phrase.endswith("s") and not phrase.endswith("ss") and len(phrase) > 3:
        return phrase[:-1]
    return phrase


def names_in(text: str) -> Iterator[str]:
    """Yield the capitalised words that do not begin a sentence or a quotation.

    >>> list(names_in("Made by Anna in Ulm. It lasts."))
    ['Anna', 'Ulm']
    """
    for match in re.finditer(r"[^\W\d_][\w'-]*", text):
        before = text[: match.start()].rstrip()
        if before and before[-1] not in _STARTS and match[0][0].isupper() and match[0] != "I":
            yield match[0]


def brands_in(text: str, is_brand: Callable[[str], bool]) -> Iterator[str]:
    """Yield runs of up to four words that begin with a capital and are a brand, as `spaced_words`.

    >>> list(brands_in("Try Salt & Pepper or tea", {"salt & pepper", "tea"}.__contains__))
    ['salt pepper']
    """
    words = re.findall(r"\w+(?:['-]\w+)*|&", text)
    for start, word in enumerate(words):
        if not word[0].isupper():
            continue
        for n in range(_LONGEST_BRAND, 0, -1):
            name = " ".join(words[start : start + n]).casefold().removesuffix("'s")
            if name not in PLAIN_WORDS and is_brand(name):
                yield spaced_words(name)
                break
