"""Exact token counts of a tokenizer with a chat template, Hugging Face style."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rag_rec.llm.base import encodable

_CHATS = (("user",), ("system", "user"), ("system", "user", "assistant", "user"))
_SEAM_TOKENS = 2  # a text may split differently beside the marks of its turn


class ChatTokens:
    """Exact token counts of a loaded tokenizer.

    Args:
        tokenizer: The tokenizer.
        chat_template: A template to use instead of the tokenizer's own, or None.
    """

    exact = True

    def __init__(self, tokenizer: Any, chat_template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self.per_message = self._measured(chat_template)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        if not texts:
            return []
        encoded = self._tokenizer([encodable(text) for text in texts], add_special_tokens=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def _measured(self, chat_template: str | None) -> int:
        refused = importlib.import_module("jinja2").TemplateError
        gains: list[float] = []
        for roles in _CHATS:
            chat = [{"role": role, "content": "x"} for role in roles]
            with suppress(refused):  # not every format knows a system turn
                text = self._tokenizer.apply_chat_template(
                    chat, chat_template=chat_template, tokenize=False, add_generation_prompt=True
                )
                gains.append(self.count([text])[0] / len(roles))
        return math.ceil(max(gains)) + _SEAM_TOKENS
