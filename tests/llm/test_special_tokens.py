"""Words without special tokens are sent as they are; the models' tests plant some."""

from __future__ import annotations

from rag_rec.llm import Message, Request
from rag_rec.llm.special_tokens import neutraliser


def test_other_words_are_sent_as_they_are() -> None:
    asked = Request((Message("user", "tea for two"),))
    assert neutraliser(["<s>", " ", "", "|"])(asked) is asked
    assert neutraliser([])(asked) is asked
