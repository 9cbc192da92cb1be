"""Language."""

from rag_rec.language.facts import (
    brands_in,
    content_stems,
    limits_in,
    names_in,
    numbers_in,
    praise_in,
    prices_in,
    spoken_text,
    words_of,
)
from rag_rec.language.names import Mention, Names

__all__ = [
    "Mention",
    "Names",
    "brands_in",
    "content_stems",
    "limits_in",
    "names_in",
    "numbers_in",
    "praise_in",
    "prices_in",
    "spoken_text",
    "words_of",
]
