"""Texts that a loaded model's own tokenizer reads as special tokens, kept out of the words sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from rag_rec.llm.base import Request

_BREAK = "\u00b7"


def mark_breaker(marks: Iterable[str]) -> Callable[[str], str]:
    """Return a function that breaks special tokens in a text.

    A dot is put after their first character, so that they are read as plain text.

    Args:
        marks: Texts of the tokenizer's special tokens; those of one character are left alone.

    >>> mark_breaker(["[SEP]"])("a [SEP] b")
    'a [·SEP] b'
    """
    known = sorted({mark for mark in marks if len(mark.strip()) > 1}, key=len, reverse=True)
    if not known:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, known)))
    return lambda text: pattern.sub(lambda mark: mark[0][:1] + _BREAK + mark[0][1:], text)


def neutraliser(marks: Iterable[str]) -> Callable[[Request], Request]:
    """Return a function that breaks special tokens in the messages of a request.

    The chat template adds its own marks afterwards.

    Args:
        marks: Texts of the tokenizer's special tokens; those of one character are left alone.

    >>> from rag_rec.core import Message
    >>> asked = Request((Message("user", "a [gMASK] b"),))
    >>> neutraliser(["[gMASK]", "|"])(asked).messages[0].content
    'a [·gMASK] b'
    """
    broken = mark_breaker(marks)

    def neutral(request: Request) -> Request:
        turns = tuple(m._replace(content=broken(m.content)) for m in request.messages)
        return request if turns == request.messages else replace(request, messages=turns)

    return neutral
