"""Taste profiles of users."""

from rag_rec.profiles.taste import TasteFacts, TasteProfiler

__all__ = ["TasteFacts", "TasteProfiler"]
