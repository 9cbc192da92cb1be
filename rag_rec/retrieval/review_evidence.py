"""Reviews as evidence: whole reviews or single sentences about a candidate, near a user's taste.

Sentences are short enough to quote whole, differ from each other, and are not all praise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rag_rec.core import Candidate, Evidence, UserHistory, plain_text
from rag_rec.index import ItemIndex, Vectors

_RECENT = 10
_PER_QUOTE = 4
_ALIKE = 0.6
_MIN_WORDS = 4
_END = re.compile(r"(?<=[.!?…])[\"”’)]?\s+(?=[\"“‘(]?[A-Z0-9À-Ý])")
_WORD = re.compile(r"[^\W\d_]{4,}")
_CRITICAL = re.compile(
    r"\b(?:but|however|though|although|unfortunately|sadly|wish|broke|cracked|leak\w*|too|only"
    r"|never|hardly|disappoint\w*|except|flaw\w*|annoy\w*|not|n't)\b"
)


def review_quotes(
    index: ItemIndex,
    histories: Sequence[UserHistory],
    candidates: Sequence[Sequence[Candidate]],
    n: int,
) -> list[dict[str, list[Evidence]]]:
    """Return, for each user, up to ``n`` reviews of each candidate, nearest to their taste first.

    The taste is the mean vector of the last items of the history that have a text, of the profile
    if there are none, else of the candidates themselves.
    """
    if n == 0 or index.manifest.n_reviews == 0:
        return [{} for _ in histories]
    picked = [
        _nearest(index, _taste(index, history, wanted), wanted, n)
        for history, wanted in zip(histories, candidates, strict=True)
    ]
    rows = sorted({row for user in picked for found in user.values() for row, _ in found})
    texts = dict(zip(rows, index.review_texts(rows), strict=True))
    return [
        {
            item_id: [
                Evidence(item_id=item_id, kind="review", text=texts[row], similarity=cosine)
                for row, cosine in found
            ]
            for item_id, found in user.items()
        }
        for user in picked
    ]


def review_sentences(
    index: ItemIndex,
    histories: Sequence[UserHistory],
    candidates: Sequence[Sequence[Candidate]],
    n: int,
) -> list[dict[str, list[Evidence]]]:
    """Return, for each user, up to ``n`` sentences about each candidate, from different reviews.

    Of each review, the sentence that shares most with the candidate's own description and the
    user's past is taken. Sentences that share most of their words with one already taken are left
    out. Of two or more, one is critical if the nearest reviews hold a critical one.
    """
    found = review_quotes(index, histories, candidates, n * _PER_QUOTE)
    return [
        {item_id: _picked(index, history, quotes, n) for item_id, quotes in by_item.items()}
        for history, by_item in zip(histories, found, strict=True)
    ]


def _taste(index: ItemIndex, history: UserHistory, candidates: Sequence[Candidate]) -> Vectors:
    vectors = _vectors_of(index, history.item_ids[-_RECENT:])
    if not len(vectors) and history.profile:
        return index.embedder.embed([history.profile])[0]
    if not len(vectors):
        vectors = _vectors_of(index, [candidate.item_id for candidate in candidates])
    return vectors.sum(axis=0) / max(len(vectors), 1)


def _vectors_of(index: ItemIndex, item_ids: Sequence[str]) -> Vectors:
    """Return the vectors of the items that have one."""
    rows = [row for item_id in item_ids if (row := index.find(item_id)) is not None]
    vectors = index.vectors_of(rows)
    return vectors[np.any(vectors, axis=1)]


def _nearest(
    index: ItemIndex, taste: Vectors, candidates: Sequence[Candidate], n: int
) -> dict[str, list[tuple[int, float]]]:
    """Return review rows and cosines of each candidate that has reviews, nearest first."""
    groups = [
        index.reviews_of(item_ix)
        for candidate in candidates
        if (item_ix := index.find(candidate.item_id)) is not None
    ]
    rows = np.concatenate([np.empty(0, np.int64), *groups])
    if not len(rows):
        return {}
    cosines = index.review_vectors[rows] @ taste
    owners = index.review_items[rows]
    order = np.lexsort((rows, -cosines, owners))
    rows, cosines, owners = rows[order], cosines[order], owners[order]
    place = np.arange(len(rows)) - np.searchsorted(owners, owners)
    kept = place < n
    found: dict[str, list[tuple[int, float]]] = {}
    for owner, row, cosine in zip(
        owners[kept].tolist(), rows[kept].tolist(), cosines[kept].tolist(), strict=True
    ):
        found.setdefault(index.item_ids[owner], []).append((row, cosine))
    return found


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
    """Return the share of words in common (Jaccard)."""
    first, second = _words(one), _words(other)
    return len(first & second) / max(len(first | second), 1)


def _is_critical(evidence: Evidence) -> bool:
    return bool(_CRITICAL.search(evidence.text.casefold()))
