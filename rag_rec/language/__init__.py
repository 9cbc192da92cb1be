"""Facts in prose: prices and numbers, words and their stems, names of brands and categories."""

from rag_rec.language.names import Names, brands_in, names_in
from rag_rec.language.prices import (
    ABOVE,
    BELOW,
    PRICE,
    amount_of,
    digits_in,
    limits_in,
    numbers_in,
    prices_in,
)
from rag_rec.language.words import (
    beginnings_of,
    content_stems,
    praise_in,
    spaced_words,
    straight_quotes,
    words_of,
)

__all__ = [
    "ABOVE",
    "BELOW",
    "PRICE",
    "Names",
    "amount_of",
    "beginnings_of",
    "brands_in",
    "content_stems",
    "digits_in",
    "limits_in",
    "names_in",
    "numbers_in",
    "praise_in",
    "prices_in",
    "spaced_words",
    "straight_quotes",
    "words_of",
]
