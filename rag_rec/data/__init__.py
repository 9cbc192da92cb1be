"""Files in, a validated `Dataset` out."""

from rag_rec.data.bundled import load_sample
from rag_rec.data.dataset import Dataset, Format, ReviewStore
from rag_rec.data.readers.rows import Row, count_rows, read_rows
from rag_rec.data.rejects import OnError
from rag_rec.data.schema import normalise
from rag_rec.data.splitting import (
    PROTOCOLS,
    Split,
    hide_items,
    leave_last_out,
    reviews_to_fit,
    shuffle_ties,
)

__all__ = [
    "PROTOCOLS",
    "Dataset",
    "Format",
    "OnError",
    "ReviewStore",
    "Row",
    "Split",
    "count_rows",
    "hide_items",
    "leave_last_out",
    "load_sample",
    "normalise",
    "read_rows",
    "reviews_to_fit",
    "shuffle_ties",
]
