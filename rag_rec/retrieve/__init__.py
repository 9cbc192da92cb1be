"""Candidates for a history, each with the rank every source gave it."""

from rag_rec.retrieve.base import FitData, Retriever, Source
from rag_rec.retrieve.config import RetrievalConfig
from rag_rec.retrieve.fit import fit_sources
from rag_rec.retrieve.fuse import FusedRetriever
from rag_rec.retrieve.histories import Histories
from rag_rec.retrieve.pool import pools
from rag_rec.retrieve.quotes import review_quotes
from rag_rec.retrieve.ranker_config import RankerConfig
from rag_rec.retrieve.sentences import review_sentences
from rag_rec.retrieve.why import strongest_links

__all__ = [
    "FitData",
    "FusedRetriever",
    "Histories",
    "RankerConfig",
    "RetrievalConfig",
    "Retriever",
    "Source",
    "fit_sources",
    "pools",
    "review_quotes",
    "review_sentences",
    "strongest_links",
]
