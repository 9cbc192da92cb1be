"""Vectors, texts and the log in an immutable, versioned folder."""

from rag_rec.core import OnStep, one_step
from rag_rec.index.eligibility import Eligibility
from rag_rec.index.embedders.text import (
    DEFAULT_EMBEDDER,
    Embedder,
    SentenceTransformerEmbedder,
    Vectors,
)
from rag_rec.index.item_index import ItemIndex
from rag_rec.index.manifest import EmbedderInfo, Manifest
from rag_rec.index.texts import item_texts
from rag_rec.index.writer import write_index

__all__ = [
    "DEFAULT_EMBEDDER",
    "Eligibility",
    "Embedder",
    "EmbedderInfo",
    "ItemIndex",
    "Manifest",
    "OnStep",
    "SentenceTransformerEmbedder",
    "Vectors",
    "item_texts",
    "one_step",
    "write_index",
]
