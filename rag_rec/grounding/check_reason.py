"""Check a reason against the evidence it cites.

Without another model these can be checked: citations, quotations, numbers, prices, names, praise
that a third party must have granted (awards, certificates), claims about reviewers or the user's
history, and the share of words that the evidence supports. A reason that passes can still draw a
wrong conclusion from right facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag_rec.core import Evidence, Item, has_address, plain_text
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

_QUOTED = re.compile(r"[“\"«„]([^“”\"«»„]+)[”\"»“]|(?<!\w)'([^']{8,})'(?!\w)")
_GAP = re.compile(r"\s*(?:…|\.\.\.)\s*")
_REVIEWERS = re.compile(
    r"\b(?:reviews?|reviewers?|customers|buyers|owners"
    r"|people (?:say|love|praise|report|mention)"
    r"|(?:customer|buyer|owner|user|reader|shopper)s? (?:says?|said|writes?|wrote|calls?|called"
    r"|finds?|found|loves?|loved|praises?|praised|reports?|mentions?|notes?|noted))\b",
    re.IGNORECASE,
)
_OWNED = re.compile(
    r"\byou(?:'ve| have)?(?: already| recently| just)? "
    r"(?:bought|purchased|ordered|own|took|got|picked)\b"
    r"|\byour (?:own|recent|earlier|previous|past|last|purchase|history)\b",
    re.IGNORECASE,
)
_ATTRIBUTED = re.compile(
    r"\b(?:seller|maker|manufacturer|publisher|producer|vendor|brand|catalog(?:ue)?|listing"
    r"|description)s? (?:says?|said|claims?|states?|calls?|describes?|promises?|advertises?)\b"
    r"|\baccording to\b|\b(?:described|advertised|sold|listed) as\b",
    re.IGNORECASE,
)
_OF_ITEMS = frozenset({"item", "past"})
_BETWEEN = frozenset({"a", "and", "by", "for", "from", "the"})
_SHARE = 1 / 3
_CENT = 0.005


@dataclass(frozen=True, slots=True)
class _Claim:
    """A reason for an item, and the evidence it may rest on.

    Attributes:
        kinds: Kinds of the cited evidence.
        sources: Texts of the evidence, the user's own words included.
        names: Title and brand of each cited item.
        is_brand: Returns True for a case-folded brand of the catalog.
    """

    reason: str
    item: Item
    kinds: frozenset[str]
    sources: Sequence[str]
    names: Sequence[str]
    is_brand: Callable[[str], bool]

    @property
    def text(self) -> str:
        return "\n".join(self.sources)

    @property
    def known(self) -> str:
        return f"{self.text}\n{self.item.title}"


class ReasonChecker:
    """Checks the reasons of one prompt.

    Args:
        evidence: The evidence in the prompt, with its numbers.
        item_of: Returns the catalog row of an item id.
        is_brand: Returns True for a case-folded brand of the catalog.
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
        """Return the evidence of these numbers, without numbers that were not shown."""
        found = [self._by_number.get(number) for number in dict.fromkeys(cites)]
        return tuple(evidence for evidence in found if evidence is not None)

    def problems(self, reason: str, cites: Collection[int], item: Item) -> list[str]:
        """Return the problems of a reason, one line each; none if it holds."""
        wrong = list(self._wrong_citations(cites, item))
        if wrong:
            return wrong
        cited = self.cited(cites)
        named = self._items(cited)
        texts = [f"{e.text}\n{named[e].description}" if e in named else e.text for e in cited]
        claim = _Claim(
            reason=straight_quotes(reason),
            item=item,
            kinds=frozenset(e.kind for e in cited),
            sources=[straight_quotes(text) for text in (*texts, *self._own_words)],
            names=[f"{other.title} {other.brand or ''}" for other in named.values()],
            is_brand=self._is_brand,
        )
        return [problem for check in _CHECKS for problem in check(claim)]

    def attributed(self, reason: str, cites: Collection[int], item: Item) -> str:
        """Return a reason that holds, with its speaker where it repeats praise of one.

        An award, a certificate or the like that only the seller's own text or a review states was
        not checked by anybody here. Names of items and brands are no claims.
        """
        cited = self.cited(cites)
        praise = praise_in(_without_names(reason, [item, *self._items(cited).values()]))
        if not praise or _ATTRIBUTED.search(reason) or praise <= praise_in(*self._own_words):
            return reason
        reviews = [e.text for e in cited if e.kind == "review"]
        by_review = bool(reviews) and praise <= praise_in(*reviews)
        if by_review and _REVIEWERS.search(reason):
            return reason
        return f"{'A reviewer' if by_review else 'The seller'} says: {reason}"

    def _items(self, cited: Iterable[Evidence]) -> dict[Evidence, Item]:
        return {e: self._item_of(e.item_id) for e in cited if e.kind in _OF_ITEMS}

    def _wrong_citations(self, cites: Collection[int], item: Item) -> Iterator[str]:
        if not cites:
            yield "cites nothing"
        for number in cites:
            evidence = self._by_number.get(number)
            if evidence is None:
                yield f"cites {str(number)[:12]}, which was not shown"
            elif evidence.kind in {"item", "review"} and evidence.item_id != item.item_id:
                yield f"cites {number}, which is about another item"


def _quotes(claim: _Claim) -> Iterator[str]:
    sources = [spaced_words(source) for source in (*claim.sources, claim.item.title)]
    for match in _QUOTED.finditer(claim.reason):
        parts = [spaced_words(part) for part in _GAP.split(match[1] or match[2]) if part.strip()]
        if not any(_in_order(parts, source) for source in sources):
            yield f"quotes “{(match[1] or match[2])[:40]}”, which is not in the evidence"


def _numbers(claim: _Claim) -> Iterator[str]:
    known = numbers_in(claim.known) | limits_in(claim.reason)
    for number in sorted(numbers_in(claim.reason) - known):
        yield f"says {number:g}, which the evidence does not"


def _prices(claim: _Claim) -> Iterator[str]:
    price = claim.item.price
    for number in prices_in(claim.reason):
        if price is None or abs(number - price) > _CENT:
            yield f"says it costs {number:g}, which is not its price"
        elif "item" not in claim.kinds:
            yield "says its price without citing the item"
    for number in limits_in(claim.reason):
        if price is None or price > number:
            yield f"says it is under {number:g}, which it is not"


def _names(claim: _Claim) -> Iterator[str]:
    known = set(words_of(claim.known))
    for name in names_in(claim.reason):
        if not set(words_of(name)) <= known:
            yield f"names “{name}”, which the evidence does not"


def _brands(claim: _Claim) -> Iterator[str]:
    known = spaced_words(claim.known)
    for name in brands_in(claim.reason, claim.is_brand):
        if not _in_order([name], known):
            yield f"names the brand “{name}”, which the evidence does not"


def _praise(claim: _Claim) -> Iterator[str]:
    for stem in sorted(praise_in(claim.reason) - praise_in(claim.text)):
        yield f"claims “{stem}…”, which the evidence does not"


def _speakers(claim: _Claim) -> Iterator[str]:
    if _REVIEWERS.search(claim.reason) and "review" not in claim.kinds:
        yield "speaks of reviewers without citing a review"
    if _OWNED.search(claim.reason) and "past" not in claim.kinds:
        yield "speaks of the user's history without citing it"


def _support(claim: _Claim) -> Iterator[str]:
    spoken = set(words_of(claim.reason)) - _BETWEEN
    if any(spoken <= set(words_of(name)) for name in claim.names):
        yield "is a name and says nothing of it"
    said = content_stems(claim.reason)
    if not said or len(said & content_stems(claim.known)) < _SHARE * len(said):
        yield "says too little of what it cites"


def has_link(reason: str, item: Item) -> bool:
    """Return True for a reason with an address or a tag, which no list may carry to a page.

    The only address that may stay is one that is the item's brand.
    """
    return has_address(reason, [item.brand] if item.brand else [])


def _links(claim: _Claim) -> Iterator[str]:
    if has_link(claim.reason, claim.item):
        yield "holds an address or markup"


def _without_names(reason: str, items: Iterable[Item]) -> str:
    """Return a reason without the whole titles and brands that it names."""
    names = {name for item in items for name in (item.title, item.brand) if name}
    for name in sorted(names, key=len, reverse=True):
        reason = re.sub(re.escape(plain_text(name)), " ", reason, flags=re.IGNORECASE)
    return reason


def _in_order(parts: Sequence[str], source: str) -> bool:
    """Return True if the parts stand in the source as whole words, one after the other."""
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
    _brands,
)
