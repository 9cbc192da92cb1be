"""Ways to get through many users; the same records come out of each."""

from rag_rec.batch.engines.base import Engine, Limits
from rag_rec.batch.engines.chunks import ChunksEngine
from rag_rec.batch.engines.ray import Place, RayEngine
from rag_rec.batch.engines.threads import ThreadsEngine

__all__ = ["ChunksEngine", "Engine", "Limits", "Place", "RayEngine", "ThreadsEngine"]
