"""Integrations."""

from rag_rec.integrations.langchain import CandidateRetriever, RecommenderRunnable, recommend_tool

__all__ = ["CandidateRetriever", "RecommenderRunnable", "recommend_tool"]
