"""The text of an item as the embedder and the content source read it."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rag_rec.core import plain_text

_MAX_CHARS = 2_000


def item_texts(items: pl.DataFrame) -> list[str]:
    """One text an item: title, brand, categories, description; the id when it has none of them."""
    return list(_texts(items))


def _texts(items: pl.DataFrame) -> Iterator[str]:
    names = ("item_id", "title", "brand", "categories", "description")
    for item_id, title, brand, categories, description in items.select(names).iter_rows():
        parts = (title, brand, ", ".join(dict.fromkeys(categories)), description)
        text = ". ".join(plain for part in parts if part and (plain := plain_text(part)))
        yield text[:_MAX_CHARS] or item_id
