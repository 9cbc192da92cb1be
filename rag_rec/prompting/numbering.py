"""Numbered evidence: what a prompt shows that a reason may cite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rag_rec.core import Evidence, Item, UserHistory, prompt_safe
from rag_rec.prompting.variant import PromptSettings


@dataclass(frozen=True, slots=True)
class Quote:
    """A quoted review and its number."""

    number: int
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Seen:
    """What fitted into a prompt.

    Attributes:
        n_past: Latest events shown.
        labels: Item ids shown as candidates, label 1 first.
        quotes: Quoted reviews.
    """

    n_past: int
    labels: Sequence[str]
    quotes: Sequence[Quote]


def evidence_of(
    seen: Seen,
    history: UserHistory,
    settings: PromptSettings,
    item_of: Callable[[str], Item],
) -> tuple[Evidence, ...]:
    """All that a reason may rest on, with the numbers the prompt gave it.

    The user's own words come last and have none: they need no citation.
    """
    return (*_numbered(seen, history, settings, item_of), *_own_words(history))


def _numbered(
    seen: Seen, history: UserHistory, settings: PromptSettings, item_of: Callable[[str], Item]
) -> Iterator[Evidence]:
    latest = history.events[::-1][: seen.n_past]
    for n, event in enumerate(latest, start=1):
        text, number = facts_of(item_of(event.item_id)), settings.past_number(n)
        yield Evidence(item_id=event.item_id, kind="past", text=text, number=number)
    for label, item_id in enumerate(seen.labels, start=1):
        text, number = facts_of(item_of(item_id)), settings.candidate_number(label)
        yield Evidence(item_id=item_id, kind="item", text=text, number=number)
    for quote in seen.quotes:
        yield quote.evidence.model_copy(update={"number": quote.number})


def _own_words(history: UserHistory) -> Iterator[Evidence]:
    if history.profile:
        yield Evidence(item_id="", kind="profile", text=prompt_safe(history.profile))


def facts_of(item: Item) -> str:
    """What the catalog says of an item, in one line; its description is left out."""
    price = f"{item.price:.2f}" if item.price is not None else ""
    released = item.released.isoformat() if item.released else ""
    parts = (item.title or item.item_id, item.brand, price, *item.categories, released)
    return " · ".join(shown for part in parts if part and (shown := prompt_safe(part)))
