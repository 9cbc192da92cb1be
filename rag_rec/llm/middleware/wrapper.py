"""What every model has in common that stands before another one."""

from __future__ import annotations

from rag_rec.core import TokenCounter
from rag_rec.llm.base import ChatModel


class WrappedModel:
    """Goes by the name of the model behind it, and counts tokens as that one does.

    Args:
        model: The model behind.
        owned: Whether it is closed with this one.
    """

    def __init__(self, model: ChatModel, *, owned: bool = True) -> None:
        self._model = model
        self._owned = owned

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    @property
    def context_tokens(self) -> int:
        """The model's own."""
        return self._model.context_tokens

    @property
    def tokens(self) -> TokenCounter:
        """The model's own."""
        return self._model.tokens

    def close(self) -> None:
        """Closes the model, if it is owned."""
        if self._owned:
            self._model.close()
