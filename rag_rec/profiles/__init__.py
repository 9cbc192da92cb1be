"""Taste profiles of users."""

from rag_rec.profiles.taste import TasteProfiler

__all__ = ["TasteProfiler"]
