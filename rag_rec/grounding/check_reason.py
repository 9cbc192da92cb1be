"""Holds a reason against the evidence it cites.

What is checked is what can be checked without another model: citations, quotations, numbers,
prices, names, praise that would have to be earned (awards, certificates), who is said to have said
or bought something, and whether the reason speaks of its evidence at all. A reason that passes can
still draw a wrong conclusion from right facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag_rec.core import Evidence, Item
from rag_rec.language import (
    brands_in,
    content_stems,
    limits_in,
    names_in,
    numbers_in,
    praise_in,
    prices_in,
    spaced_words,
    straight_quotes,
    words_of,
)

_QUOTED = re.compile(r"[“\"«„]([^“”\"«»„]+)[”\"»“]|(?<!\w)[‘']([^‘’']{8,})[’'](?!\w)")
_GAP = re.compile(r"\s*(?:…|\.\.\.)\s*")
_LINK = re.compile(r"https?:|www\.|\S@\S|<[a-z/!]", re.IGNORECASE)
_REVIEWERS = re.compile(
    r"\b(?:reviews?|reviewers?|customers|buyers|owners"
    r"|people (?:say|love|praise|report|mention)"
    r"|(?:customer|buyer|owner|user|reader|shopper)s? (?:says?|said|writes?|wrote|calls?|called"
    r"|finds?|found|loves?|loved|praises?|praised|reports?|mentions?|notes?|noted))\b",
    re.IGNORECASE,
)
_OWNED = re.compile(
    r"\byou(?:'ve|’ve| have)?(?: already| recently| just)? "
    r"(?:bought|purchased|ordered|own|took|got|picked)\b"
    r"|\byour (?:own|recent|earlier|previous|past|last|purchase|history)\b",
    re.IGNORECASE,
)
_OF_ITEMS = frozenset({"item", "past"})
_BETWEEN = frozenset({"a", "and", "by", "for", "from", "the"})
_SHARE = 1 / 3
_CENT = 0.005


@dataclass(frozen=True, slots=True)
class _Claim:
    """A reason, the evidence it may rest on, all that evidence's text, and its items' names."""

    reason: str
    item: Item
    cited: Sequence[Evidence]
    sources: Sequence[str]
    names: Sequence[str]

    @property
    def text(self) -> str:
        return "\n".join(self.sources)

    def cites(self, *kinds: str) -> bool:
        return any(evidence.kind in kinds for evidence in self.cited)


class ReasonChecker:
    """Checks the reasons of one prompt.

    Args:
        evidence: What the prompt showed, with its numbers.
        item_of: Catalog row of an item id.
        is_brand: Whether a case-folded text is a brand of the catalog.
    """

    def __init__(
        self,
        evidence: Iterable[Evidence],
        item_of: Callable[[str], Item],
        is_brand: Callable[[str], bool],
    ) -> None:
        shown = list(evidence)
        self._by_number = {e.number: e for e in shown if e.number is not None}
        self._own_words = [e.text for e in shown if e.kind == "profile"]
        self._item_of = item_of
        self._is_brand = is_brand

    def cited(self, cites: Iterable[int]) -> tuple[Evidence, ...]:
        """The evidence of some numbers, those that were not shown left out."""
        found = [self._by_number.get(number) for number in dict.fromkeys(cites)]
        return tuple(evidence for evidence in found if evidence is not None)

    def problems(self, reason: str, cites: Collection[int], item: Item) -> list[str]:
        """What is wrong with a reason, one line each; empty if it holds."""
        wrong = list(self._wrong_citations(cites, item))
        if wrong:
            return wrong
        cited = self.cited(cites)
        sources = [*map(self._source, cited), *self._own_words]
        named = [self._item_of(e.item_id) for e in cited if e.kind in _OF_ITEMS]
        names = [f"{other.title} {other.brand or ''}" for other in named]
        claim = _Claim(straight_quotes(reason), item, cited, sources, names)
        return [problem for check in _CHECKS for problem in check(claim)] + [
            f"names the brand “{name}”, which the evidence does not"
            for name in brands_in(claim.reason, self._is_brand)
            if name not in spaced_words(claim.text + "\n" + item.title)
        ]

    def _wrong_citations(self, cites: Collection[int], item: Item) -> Iterator[str]:
        if not cites:
            yield "cites nothing"
        for number in cites:
            evidence = self._by_number.get(number)
            if evidence is None:
                yield f"cites {str(number)[:12]}, which was not shown"
            elif evidence.kind in {"item", "review"} and evidence.item_id != item.item_id:
                yield f"cites {number}, which is about another item"

    def _source(self, evidence: Evidence) -> str:
        if evidence.kind not in _OF_ITEMS:
            return straight_quotes(evidence.text)
        return straight_quotes(f"{evidence.text}\n{self._item_of(evidence.item_id).description}")


def _quotes(claim: _Claim) -> Iterator[str]:
    sources = [spaced_words(source) for source in (*claim.sources, claim.item.title)]
    for match in _QUOTED.finditer(claim.reason):
        parts = [spaced_words(part) for part in _GAP.split(match[1] or match[2]) if part.strip()]
        if not any(_in_order(parts, source) for source in sources):
            yield f"quotes “{(match[1] or match[2])[:40]}”, which is not in the evidence"


def _numbers(claim: _Claim) -> Iterator[str]:
    known = numbers_in(claim.text) | numbers_in(claim.item.title) | limits_in(claim.reason)
    for number in sorted(numbers_in(claim.reason) - known):
        yield f"says {number:g}, which the evidence does not"


def _prices(claim: _Claim) -> Iterator[str]:
    price = claim.item.price
    for number in prices_in(claim.reason):
        if price is None or abs(number - price) > _CENT:
            yield f"says it costs {number:g}, which is not its price"
        elif not claim.cites("item"):
            yield "says its price without citing the item"
    for number in limits_in(claim.reason):
        if price is None or price > number:
            yield f"says it is under {number:g}, which it is not"


def _names(claim: _Claim) -> Iterator[str]:
    known = set(words_of(claim.text)) | set(words_of(claim.item.title))
    for name in names_in(claim.reason):
        if not set(words_of(name)) <= known:
            yield f"names “{name}”, which the evidence does not"


def _praise(claim: _Claim) -> Iterator[str]:
    for stem in praise_in(claim.reason) - praise_in(claim.text):
        yield f"claims “{stem}…”, which the evidence does not"


def _speakers(claim: _Claim) -> Iterator[str]:
    if _REVIEWERS.search(claim.reason) and not claim.cites("review"):
        yield "speaks of reviewers without citing a review"
    if _OWNED.search(claim.reason) and not claim.cites("past"):
        yield "speaks of the user's history without citing it"


def _support(claim: _Claim) -> Iterator[str]:
    spoken = set(words_of(claim.reason)) - _BETWEEN
    if any(spoken <= set(words_of(name)) for name in claim.names):
        yield "is a name and says nothing of it"
    said = content_stems(claim.reason)
    known = content_stems(claim.text) | content_stems(claim.item.title)
    if not said or len(said & known) < _SHARE * len(said):
        yield "says too little of what it cites"


def _links(claim: _Claim) -> Iterator[str]:
    if _LINK.search(claim.reason):
        yield "holds an address or markup"


def _in_order(parts: Sequence[str], source: str) -> bool:
    position = 0
    for part in parts:
        found = f" {source} ".find(f" {part} ", position)
        if found < 0:
            return False
        position = found + len(part)
    return True


_CHECKS: tuple[Callable[[_Claim], Iterator[str]], ...] = (
    _links,
    _quotes,
    _numbers,
    _prices,
    _names,
    _praise,
    _speakers,
    _support,
)
