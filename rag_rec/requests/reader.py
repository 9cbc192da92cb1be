"""Reads wishes over one catalog: by a model where there is one, else by keywords."""

from __future__ import annotations

import logging
from functools import cached_property

from rag_rec.constraints import both
from rag_rec.core import Understood, UserHistory
from rag_rec.index import ItemIndex
from rag_rec.language import Names
from rag_rec.llm import ChatModel
from rag_rec.requests.keyword_reading import by_keywords
from rag_rec.requests.model_reading import read_request, request_for

_log = logging.getLogger(__name__)


class RequestReader:
    """Reads wishes with the names of one catalog.

    Args:
        index: The catalog.
        model: Reads the wishes; None for keywords alone.
        seed: The model's sampling seed.
    """

    def __init__(self, index: ItemIndex, model: ChatModel | None, *, seed: int = 0) -> None:
        self._index, self._model, self._seed = index, model, seed

    def read(self, request: str) -> Understood:
        """What a wish asks for; where the model's reply cannot be used, keywords decide."""
        if self._model is not None:
            asked = request_for(request, self._names, seed=self._seed)
            completion = self._model.generate([asked])[0]
            try:
                return read_request(request, completion.text, self._names)
            except ValueError:
                _log.warning("the model's reading of the request cannot be used: keywords decide")
        return by_keywords(request, self._names)

    @cached_property
    def _names(self) -> Names:
        items = self._index.items
        categories = dict.fromkeys(name for row in items["categories"].to_list() for name in row)
        return Names(categories, dict.fromkeys(filter(None, items["brand"].to_list())))


def with_request(history: UserHistory, understood: Understood) -> UserHistory:
    """A history with what was understood of a request added to its constraints and profile."""
    words = " ".join(filter(None, (history.profile, understood.query)))
    merged = both(history.constraints, understood.constraints)
    return history.model_copy(update={"profile": words, "constraints": merged})
