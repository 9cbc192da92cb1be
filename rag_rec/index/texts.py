"""Text of items: what the embedder and the sources that read words are given."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from rag_rec.core import Item, plain_text

_MAX_CHARS = 2_000


def item_texts(items: pl.DataFrame) -> list[str]:
    """Return title, brand, categories and description of each item as one text.

    It is empty for an item that has none of them. An id is no text: many files number items by
    first appearance, and words of ids would tell the order of events.
    """
    names = ("title", "brand", "categories", "description")
    return [_joined(*row) for row in items.select(names).iter_rows()]


def text_of(item: Item) -> str:
    """Return the text of one item, as `item_texts` does."""
    return _joined(item.title, item.brand, item.categories, item.description)


def _joined(
    title: str | None, brand: str | None, categories: Iterable[str], description: str | None
) -> str:
    parts = (title, brand, ", ".join(dict.fromkeys(categories)), description)
    return ". ".join(plain for part in parts if part and (plain := plain_text(part)))[:_MAX_CHARS]
