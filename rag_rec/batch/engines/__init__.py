"""Ways to get through many users; the same records come out of each."""

from rag_rec.batch.engines.base import Engine, Limits
from rag_rec.batch.engines.threads import ThreadsEngine

__all__ = ["Engine", "Limits", "ThreadsEngine"]
