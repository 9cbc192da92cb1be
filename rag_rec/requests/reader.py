"""Reads requests in plain words over one catalog: a model's reading, or rules."""

from __future__ import annotations

from functools import cached_property

from rag_rec.constraints import both
from rag_rec.core import Understood, UserHistory
from rag_rec.index import ItemIndex
from rag_rec.language import Names
from rag_rec.llm import Completion, Request
from rag_rec.requests.keyword_reading import by_keywords
from rag_rec.requests.model_reading import read_request, request_for


class RequestReader:
    """Reads requests with the names of one catalog.

    Args:
        index: The catalog.
        seed: The model's sampling seed.
    """

    def __init__(self, index: ItemIndex, *, seed: int = 0) -> None:
        self._index, self._seed = index, seed

    def request_for(self, text: str) -> Request:
        """Return the request that asks a model to read the words."""
        return request_for(text, self._names, seed=self._seed)

    def read(self, text: str, reply: Completion | None = None) -> Understood:
        """Read a model's reply; without one, rules read prices, years and names of the catalog.

        Where the reply cannot be used, the rules decide and the problem is said.

        Args:
            text: The request in plain words.
            reply: The model's completion.
        """
        if reply is None:
            return by_keywords(text, self._names)
        try:
            return read_request(text, reply.text, self._names)
        except ValueError as error:
            problem = str(reply.error or error)
        return by_keywords(text, self._names).model_copy(
            update={"problem": f"the model's reading cannot be used ({problem}): rules decided"}
        )

    @cached_property
    def _names(self) -> Names:
        items = self._index.items
        categories = dict.fromkeys(name for row in items["categories"].to_list() for name in row)
        return Names(categories, dict.fromkeys(filter(None, items["brand"].to_list())))


def with_request(history: UserHistory, understood: Understood) -> UserHistory:
    """Return a history with the constraints and the query of a request added.

    Raises:
        ConfigError: If the constraints contradict each other.
    """
    words = " ".join(filter(None, (history.profile, understood.query)))
    merged = both(history.constraints, understood.constraints)
    return history.model_copy(update={"profile": words, "constraints": merged})
