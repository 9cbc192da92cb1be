"""Item-item evidence, one file a source; `SOURCES` lists the shipped ones in their order.

The order is that of stacking, summing and searching, so it decides the last bits of scores.
"""

from rag_rec.retrieval.base import Source
from rag_rec.retrieval.item_item.content import Content
from rag_rec.retrieval.item_item.content_smoothed import ContentSmoothed
from rag_rec.retrieval.item_item.ease import Ease
from rag_rec.retrieval.item_item.popular import Popular
from rag_rec.retrieval.item_item.popularity import Popularity
from rag_rec.retrieval.item_item.reviews import Reviews
from rag_rec.retrieval.item_item.slit import Slit

SOURCES: tuple[Source, ...] = (
    Slit(),
    Ease(),
    Content(),
    Reviews(),
    ContentSmoothed(),
    Popular(),
)

__all__ = [
    "SOURCES",
    "Content",
    "ContentSmoothed",
    "Ease",
    "Popular",
    "Popularity",
    "Reviews",
    "Slit",
]
