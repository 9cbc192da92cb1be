"""Files in, a validated `Dataset` out."""

from rag_rec.dataset.bundled import load_sample
from rag_rec.dataset.dataset import Dataset, Format, ReviewStore
from rag_rec.dataset.rejects import OnError

__all__ = ["Dataset", "Format", "OnError", "ReviewStore", "load_sample"]
