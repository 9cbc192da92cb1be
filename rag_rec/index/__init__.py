"""Vectors, texts and the log in an immutable, versioned folder."""

from rag_rec.core import OnStep
from rag_rec.index.eligibility import Eligibility
from rag_rec.index.embedders.text import (
    DEFAULT_EMBEDDER,
    Embedder,
    SentenceTransformerEmbedder,
    Vectors,
)
from rag_rec.index.files import reading
from rag_rec.index.item_index import ItemIndex
from rag_rec.index.manifest import Manifest
from rag_rec.index.texts import item_texts
from rag_rec.index.verify import IndexCheck, verify_index
from rag_rec.index.writer import indexed_ids, write_index

__all__ = [
    "DEFAULT_EMBEDDER",
    "Eligibility",
    "Embedder",
    "IndexCheck",
    "ItemIndex",
    "Manifest",
    "OnStep",
    "SentenceTransformerEmbedder",
    "Vectors",
    "indexed_ids",
    "item_texts",
    "reading",
    "verify_index",
    "write_index",
]
