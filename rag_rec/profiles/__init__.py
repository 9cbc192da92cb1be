"""Profiles."""

from rag_rec.profiles.taste import Profiler, asks_for_profile

__all__ = ["Profiler", "asks_for_profile"]
