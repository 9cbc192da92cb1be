"""The catalog's categories and brands, found in running text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from rag_rec.constraints import fold

_WORD = re.compile(r"[\w'&-]+")
_LONGEST = 5

Field = Literal["category", "brand"]


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a text: what it names, and where it stands."""

    field: Field
    name: str
    start: int
    end: int


class Names:
    """Categories and brands of one catalog.

    Args:
        categories: Category names as the catalog writes them.
        brands: Brand names as the catalog writes them.
    """

    def __init__(self, categories: Iterable[str], brands: Iterable[str]) -> None:
        self.categories = {fold(name): name for name in categories}
        self.brands = {fold(name): name for name in brands}
        self._known: dict[str, tuple[Field, str]] = {}
        for name in self.categories.values():
            for form in _forms(fold(name)):
                self._known.setdefault(form, ("category", name))
        for folded, name in self.brands.items():
            self._known[_spaced(folded)] = ("brand", name)

    def mentions(self, text: str) -> Iterator[Mention]:
        """Names in a text, longest first at each place, left to right, not overlapping."""
        words = list(_WORD.finditer(text.casefold().replace("’", "'")))
        at = 0
        while at < len(words):
            found = self._longest(words, at)
            if found is None:
                at += 1
                continue
            field, name, n = found
            yield Mention(field, name, words[at].start(), words[at + n - 1].end())
            at += n

    def _longest(self, words: list[re.Match[str]], at: int) -> tuple[Field, str, int] | None:
        for n in range(min(_LONGEST, len(words) - at), 0, -1):
            phrase = " ".join(word[0] for word in words[at : at + n])
            for form in (phrase, _singular(phrase)):
                if form in self._known:
                    return (*self._known[form], n)
        return None


def _spaced(name: str) -> str:
    return " ".join(_WORD.findall(name))


def _forms(folded: str) -> set[str]:
    spaced = _spaced(folded)
    return {spaced, _singular(spaced)}


def _singular(phrase: str) -> str:
    """The last word without a plural ending; the same for text and names."""
    if phrase.endswith("ies") and len(phrase) > 5:
        return phrase[:-3] + "y"
    if phrase.endswith("s") and not phrase.endswith("ss") and len(phrase) > 3:
        return phrase[:-1]
    return phrase
