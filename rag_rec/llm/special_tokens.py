"""Texts that a loaded model's own tokenizer reads as special tokens, kept out of the words sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from rag_rec.llm.base import Request

_BREAK = "\u00b7"


def neutraliser(marks: Iterable[str]) -> Callable[[Request], Request]:
    """Return a function that breaks special tokens in the messages of a request.

    A dot is put after their first character, so that they are read as plain text. The chat
    template adds its own marks afterwards.

    Args:
        marks: Texts of the tokenizer's special tokens; those of one character are left alone.

    >>> from rag_rec.core import Message
    >>> asked = Request((Message("user", "a [gMASK] b"),))
    >>> neutraliser(["[gMASK]", "|"])(asked).messages[0].content
    'a [·gMASK] b'
    """
    known = sorted({mark for mark in marks if len(mark.strip()) > 1}, key=len, reverse=True)
    if not known:
        return lambda request: request
    pattern = re.compile("|".join(map(re.escape, known)))

    def broken(text: str) -> str:
        return pattern.sub(lambda mark: mark[0][:1] + _BREAK + mark[0][1:], text)

    def neutral(request: Request) -> Request:
        if not any(pattern.search(message.content) for message in request.messages):
            return request
        turns = (m._replace(content=broken(m.content)) for m in request.messages)
        return replace(request, messages=tuple(turns))

    return neutral
