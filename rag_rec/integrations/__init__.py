"""LangChain: a recommender inside a chain, and a LangChain retriever inside a recommender."""

from rag_rec.integrations.langchain import (
    CandidateRetriever,
    LangChainRetriever,
    RecommenderRunnable,
    as_retriever,
    as_runnable,
    as_tool,
)

__all__ = [
    "CandidateRetriever",
    "LangChainRetriever",
    "RecommenderRunnable",
    "as_retriever",
    "as_runnable",
    "as_tool",
]
