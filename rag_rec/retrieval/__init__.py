"""Candidates for a history, each with the rank that every source gave it."""

from rag_rec.retrieval.base import Matrices, Retriever, Source
from rag_rec.retrieval.build import build_index, update_index
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.diagnostics import Diagnostics, Rankings, as_table, unseen
from rag_rec.retrieval.fit_data import Budget, FitData
from rag_rec.retrieval.fusion.retriever import open_retriever
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.item_item import SOURCES
from rag_rec.retrieval.matrices import dense
from rag_rec.retrieval.pool import pools
from rag_rec.retrieval.ranker.lambdamart import RankerConfig
from rag_rec.retrieval.review_evidence import review_quotes, review_sentences
from rag_rec.retrieval.weighting.search import SearchConfig

__all__ = [
    "SOURCES",
    "Budget",
    "Diagnostics",
    "FitData",
    "Histories",
    "Matrices",
    "RankerConfig",
    "Rankings",
    "RetrievalConfig",
    "Retriever",
    "SearchConfig",
    "Source",
    "as_table",
    "build_index",
    "dense",
    "open_retriever",
    "pools",
    "review_quotes",
    "review_sentences",
    "unseen",
    "update_index",
]
