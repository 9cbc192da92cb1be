"""Candidates for a history, each with the rank every source gave it."""

from rag_rec.retrieval.base import FitData, Retriever, Source
from rag_rec.retrieval.build import build_index
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fusion.fit import fit_sources
from rag_rec.retrieval.fusion.retriever import FusedRetriever, open_retriever
from rag_rec.retrieval.fusion.stacked import best
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.matrices import columns_of, dense, row_of
from rag_rec.retrieval.pool import pools
from rag_rec.retrieval.quotes import review_quotes
from rag_rec.retrieval.ranker.config import RankerConfig
from rag_rec.retrieval.sentences import review_sentences

__all__ = [
    "FitData",
    "FusedRetriever",
    "Histories",
    "RankerConfig",
    "RetrievalConfig",
    "Retriever",
    "Source",
    "best",
    "build_index",
    "columns_of",
    "dense",
    "fit_sources",
    "open_retriever",
    "pools",
    "review_quotes",
    "review_sentences",
    "row_of",
]
