"""The pipeline of a batch: the run's gate before the model, and the cache before the gate."""

from __future__ import annotations

from pathlib import Path

from rag_rec.core import Settings
from rag_rec.index import Embedder
from rag_rec.llm import CachedModel, ChatModel, Gate, GatedModel, open_from
from rag_rec.recommender import Recommender


def open_recommender(
    index: str | Path,
    settings: Settings,
    gate: Gate,
    *,
    llm: str | ChatModel | None = None,
    embedder: Embedder | None = None,
) -> Recommender:
    """Opens index, model, gate and cache; a model object stays its owner's to close."""
    if isinstance(llm, str):
        settings = settings.model_copy(update={"llm": llm})
    if llm is None or isinstance(llm, str):
        model = open_from(settings, gate)
    else:
        settings = settings.model_copy(update={"llm": llm.name})
        model = GatedModel(llm, gate, owned=False)
    if model is not None and settings.batch.cache:
        model = CachedModel(model, settings.batch.cache, parameters=settings.parameters)
    return Recommender.open(index, model or "none", settings=settings, embedder=embedder)
