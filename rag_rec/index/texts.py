"""Text of items: what the embedder and the sources that read words are given."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rag_rec.core import plain_text

_MAX_CHARS = 2_000


def item_texts(items: pl.DataFrame) -> list[str]:
    """Return title, brand, categories and description of each item as one text.

    It is empty for an item that has none of them. An id is no text: many files number items by
    first appearance, and words of ids would tell the order of events.
    """
    return list(_texts(items))


def _texts(items: pl.DataFrame) -> Iterator[str]:
    names = ("title", "brand", "categories", "description")
    for title, brand, categories, description in items.select(names).iter_rows():
        parts = (title, brand, ", ".join(dict.fromkeys(categories)), description)
        yield ". ".join(plain for part in parts if part and (plain := plain_text(part)))[
            :_MAX_CHARS
        ]
