"""Numbered evidence: what a prompt shows that a reason may cite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rag_rec.core import NAME_CHARS, Evidence, Item, UserHistory, prompt_safe
from rag_rec.prompting.variant import PromptSettings


def shown_evidence(
    history: UserHistory,
    n_past: int,
    labels: Sequence[str],
    settings: PromptSettings,
    item_of: Callable[[str], Item],
) -> Iterator[Evidence]:
    """Yield what the catalog says of the items in a prompt, and the user's own words.

    The numbers are those that the prompt gave. The user's words have none: they need no citation.

    Args:
        history: The user.
        n_past: Latest events shown.
        labels: Item ids shown as candidates, label 1 first.
        settings: The variant's settings.
        item_of: Returns the item of an id.
    """
    latest = history.events[::-1][:n_past]
    for n, event in enumerate(latest, start=1):
        text = facts_of(item_of(event.item_id))
        yield Evidence(item_id=event.item_id, kind="past", text=text, number=n)
    for label, item_id in enumerate(labels, start=1):
        text, number = facts_of(item_of(item_id)), settings.candidate_number(label)
        yield Evidence(item_id=item_id, kind="item", text=text, number=number)
    if history.profile:
        yield Evidence(item_id="", kind="profile", text=prompt_safe(history.profile))


def facts_of(item: Item) -> str:
    """Return an item's catalog row in one line, without its description."""
    price = f"{item.price:.2f}" if item.price is not None else ""
    released = item.released.isoformat() if item.released else ""
    parts = (item.title or item.item_id, item.brand, price, " · ".join(item.categories), released)
    shown = (prompt_safe(part, NAME_CHARS) for part in parts if part)
    return " · ".join(filter(None, shown))
