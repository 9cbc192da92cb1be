"""Turns of a chat and token counts: what prompts and language models have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant"]


class Message(NamedTuple):
    """One turn of a chat."""

    role: Role
    content: str


class TokenCounter(Protocol):
    """Count tokens as a model does.

    Attributes:
        exact: True for the model's own tokenizer, False for an upper estimate.
        per_message: Upper bound of tokens the chat format adds to each message.
    """

    @property
    def exact(self) -> bool: ...  # noqa: D102
    @property
    def per_message(self) -> int: ...  # noqa: D102

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        ...
