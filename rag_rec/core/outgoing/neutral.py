"""Texts on their way out: nothing in them acts on a page, a terminal or a spreadsheet.

`neutral` is for names that the catalog gives; `spoken` for sentences of ours and of models, which
name no address either; `visible` for terminals; `safe_cell` for spreadsheets.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from rag_rec.core.text import entities_resolved, plain_text

_OPENED = re.compile(r"<(?=[a-zA-Z/!?])")
_LINK = re.compile(
    r"\b(?:[a-z][a-z0-9+.-]{1,20}:/+|www\.|(?:javascript|vbscript|mailto|tel|sms):|data:[\w-]{1,20}/)"
    r"[^\s()<>\[\]\"']*",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"(?<![\w*_])([*_])(?=[^\s*_])([^*_]{1,300})(?<=\S)\1(?![\w*_])")
_DOUBLED = re.compile(r"\*\*+|__+|~~+")
_HEADING = re.compile(r"^(?:#{1,6}|>)\s+")
_SUSPECT = re.compile(r"[<&*_~`#>]|\]\(|:/|\bwww\.|[a-z]:\S", re.IGNORECASE)

_INSIDE = re.compile(r"[.@]\S|[\[(]\s?\.|\d|\bdot\b", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?<![\w.-])((?:[\w-]{1,63}[.。．｡])+([^\W\d_]{2,24}|xn--[\w-]{1,59}))(?![\w-])"
    r"(?:[/?][^\s()<>\[\]\"']*)?"
)
_COMMON = """
com net org info biz shop store online site xyz top club live app dev io co ai me tv link click
example gov edu pro deals sale win page onion"""
_ENDINGS = frozenset(_COMMON.split())
_KINDS = "js ts py rb txt pdf doc docx xls xlsx csv jpg jpeg png gif exe dll htm html"
_FILES = frozenset(_KINDS.split())
_CONTACT = re.compile(
    r"@\S[^\s@]{0,255}|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|(?:[\[(]\s?(?:\.|dot)\s?[\])]|\bdot\b)\s?(?:com|net|org|shop|store|example)\b",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?<![\w.,])\+?\(?\d(?:[\s()./\u2010-\u2015-]{0,3}\d){6,19}(?!\w)")
_DATE = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}"
    r"|(?:1[4-9]|20)\d\d\s?[-/\u2010-\u2015]\s?(?:1[4-9]|20)\d\d"
)
_GONE = "…"

# what a terminal obeys, and what turns the direction of writing
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
# a spreadsheet may begin a cell after any of these signs, whatever the file's own separator is
_FORMULA = re.compile(r"(^|[;\t\r\n])([ \u00a0\u200b\ufeff\"']*[=+\-@＝＋－＠])")


@lru_cache(maxsize=1 << 14)  # titles and evidence are the same for many users
def neutral(text: str) -> str:
    """Return one line of plain text without HTML, Markdown and links.

    >>> neutral("Tea <b>[win](http://evil.example)</b> **now**")
    'Tea [win] (…) now'
    """
    if text.isascii() and text.isprintable() and not _SUSPECT.search(text):
        return " ".join(text.split())
    text = _OPENED.sub("‹", plain_text(text)).replace("](", "] (").replace("`", "'")
    text = _DOUBLED.sub("", _LINK.sub(_GONE, text))
    return " ".join(_HEADING.sub("", _EMPHASIS.sub(r"\2", text)).split())


def spoken(text: str, allowed: Collection[str] = ()) -> str:
    """Return `neutral` of a sentence, without domains, telephone numbers and the like.

    Args:
        text: The sentence.
        allowed: Domains that may stay: an item's brand may be one.

    >>> spoken("Cheaper at evil-shop.com, call +1 900 555 0100!")
    'Cheaper at …, call …!'
    """
    text = neutral(text)
    if _is_plain(text):
        return text
    flat = unicodedata.normalize("NFKC", text)
    places = sorted(_addresses(flat, allowed))
    if not places:
        return text
    parts: list[str] = []
    at = 0
    for start, end in places:
        if end > at:
            parts += [flat[at:start], _GONE]
            at = end
    return "".join([*parts, flat[at:]])


def has_address(text: str, allowed: Collection[str] = ()) -> bool:
    """Return True for a text with a link, a tag, a domain, a telephone number or the like."""
    if _is_plain(text):
        return False
    flat = unicodedata.normalize("NFKC", entities_resolved(text))
    marked = "](" in flat or _OPENED.search(flat) or _LINK.search(flat)
    return bool(marked) or next(_addresses(flat, allowed), None) is not None


def visible(text: str) -> str:
    r"""Return a text without the characters that a terminal obeys; lines and tabs stay.

    >>> visible("a\x1b[2Jb\nc")
    'a[2Jb\nc'
    """
    return _UNSEEN.sub("", text)


def visible_json(document: str) -> str:
    r"""Return a JSON document with such characters written as ``\u`` escapes: it says the same."""
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], document)


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet executes, wherever it ends a cell.

    >>> safe_cell("=1+1"), safe_cell("tea"), safe_cell("tea; @x")
    ("'=1+1", 'tea', "tea;' @x")
    """
    return _FORMULA.sub(r"\1'\2", text)


def _is_plain(text: str) -> bool:
    """Return True for most sentences: nothing in them can be a mark or an address."""
    return text.isascii() and not _SUSPECT.search(text) and not _INSIDE.search(text)


def _addresses(text: str, allowed: Collection[str]) -> Iterator[tuple[int, int]]:
    kept = {name.casefold() for name in allowed}
    for found in _DOMAIN.finditer(text):
        if found[1].casefold() not in kept and _is_domain(found):
            yield found.span()
    for found in _CONTACT.finditer(text):
        yield found.span()
    for found in _PHONE.finditer(text):
        if not _DATE.fullmatch(found[0]):
            yield found.span()


def _is_domain(found: re.Match[str]) -> bool:
    """Return True unless a full stop between two words can be meant."""
    ending, before = found[2], re.split(r"[.。．｡]", found[1])[-2]
    if ending.casefold() in _ENDINGS or ending.startswith("xn--"):
        return True
    return ending.islower() and len(before) > 1 and ending not in _FILES


Neutral = Annotated[str, AfterValidator(neutral)]
"""A text as the catalog gives it, made neutral."""

Spoken = Annotated[str, AfterValidator(spoken)]
"""A sentence of ours or of a model, made neutral, without addresses."""
