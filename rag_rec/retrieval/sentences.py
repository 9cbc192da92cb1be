"""Sentences of reviews as evidence: short enough to quote whole, different, and not all praise.

Reviews come from Chroma, nearest to the user's taste first (`rag_rec.retrieval.quotes`). Of each,
the sentence that shares most with the candidate's own description and the user's past is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag_rec.core import Candidate, Evidence, UserHistory, plain_text
from rag_rec.index import ItemIndex
from rag_rec.retrieval.quotes import review_quotes

_PER_QUOTE = 4
_ALIKE = 0.6
_MIN_WORDS = 4
_END = re.compile(r"(?<=[.!?…])[\"”’)]?\s+(?=[\"“‘(]?[A-Z0-9À-Ý])")
_WORD = re.compile(r"[^\W\d_]{4,}")
_CRITICAL = re.compile(
    r"\b(?:but|however|though|although|unfortunately|sadly|wish|broke|cracked|leak\w*|too|only"
    r"|never|hardly|disappoint\w*|except|flaw\w*|annoy\w*|not|n't)\b"
)


def review_sentences(
    index: ItemIndex,
    histories: Sequence[UserHistory],
    candidates: Sequence[Sequence[Candidate]],
    n: int,
) -> list[dict[str, list[Evidence]]]:
    """For each user, up to ``n`` sentences about each candidate, from different reviews.

    Sentences that share most of their words with one already taken are left out. Of two or more,
    one is critical if the nearest reviews hold a critical one.
    """
    found = review_quotes(index, histories, candidates, n * _PER_QUOTE)
    return [
        {item_id: _picked(index, history, quotes, n) for item_id, quotes in by_item.items()}
        for history, by_item in zip(histories, found, strict=True)
    ]


def _picked(
    index: ItemIndex, history: UserHistory, quotes: Sequence[Evidence], n: int
) -> list[Evidence]:
    item = index.item_by_id(quotes[0].item_id)
    past = [index.item_by_id(item_id).title for item_id in history.item_ids[-3:]]
    topic = _words(" ".join((item.title, item.description, *past, history.profile or "")))
    sentences = [
        quote.model_copy(update={"text": _best_sentence(quote.text, topic)}) for quote in quotes
    ]
    different: list[Evidence] = []
    for sentence in sentences:
        if all(_alike(sentence.text, other.text) < _ALIKE for other in different):
            different.append(sentence)
    chosen, rest = different[:n], different[n:]
    critical = [sentence for sentence in rest if _is_critical(sentence)]
    if n > 1 and critical and not any(map(_is_critical, chosen)):
        chosen[-1] = critical[0]
    return chosen


def _best_sentence(review: str, topic: frozenset[str]) -> str:
    parts = [part.strip() for part in _END.split(plain_text(review))]
    whole = [part for part in parts if len(part.split()) >= _MIN_WORDS] or parts
    return max(whole, key=lambda part: len(_words(part) & topic) / (4 + len(part.split())))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))


def _alike(one: str, other: str) -> float:
    """Share of words in common (Jaccard)."""
    first, second = _words(one), _words(other)
    return len(first & second) / max(len(first | second), 1)


def _is_critical(evidence: Evidence) -> bool:
    return bool(_CRITICAL.search(evidence.text.casefold()))
