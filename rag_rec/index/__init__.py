"""Vectors, texts and the log in an immutable, versioned folder."""

from rag_rec.core import OnStep
from rag_rec.index.eligibility import Eligibility
from rag_rec.index.embedders.ray import RayEmbedder
from rag_rec.index.embedders.shards import Shard, ShardEmbedder, embed_shard
from rag_rec.index.embedders.text import (
    DEFAULT_EMBEDDER,
    Embedder,
    SentenceTransformerEmbedder,
    Vectors,
    has_bfloat16,
)
from rag_rec.index.files import reading
from rag_rec.index.item_index import ItemIndex, VectorRows
from rag_rec.index.live.live_index import LiveIndex
from rag_rec.index.live.log import LiveLog
from rag_rec.index.manifest import EmbedderInfo, Manifest
from rag_rec.index.texts import item_texts
from rag_rec.index.verify import IndexCheck, verify_index
from rag_rec.index.versions import copy_version, current_version
from rag_rec.index.writer import indexed_ids, stored_data, write_index

__all__ = [
    "DEFAULT_EMBEDDER",
    "Eligibility",
    "Embedder",
    "EmbedderInfo",
    "IndexCheck",
    "ItemIndex",
    "LiveIndex",
    "LiveLog",
    "Manifest",
    "OnStep",
    "RayEmbedder",
    "SentenceTransformerEmbedder",
    "Shard",
    "ShardEmbedder",
    "VectorRows",
    "Vectors",
    "copy_version",
    "current_version",
    "embed_shard",
    "has_bfloat16",
    "indexed_ids",
    "item_texts",
    "reading",
    "stored_data",
    "verify_index",
    "write_index",
]
