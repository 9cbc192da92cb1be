"""The thoughts that some models write before their answer."""

from __future__ import annotations

import re

from rag_rec.core.strict_json import parse_json

_TAG = "think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad|seed:think"
_OPENING = (
    rf"<(?:{_TAG})(?:\s[^<>]*)?>|\[THINK\]|◁think▷|<\|channel\|>analysis<\|message\|>"
    r"|<\|begin_of_thought\|>|<\|START_THINKING\|>"
)
_CLOSING = (
    rf"</(?:{_TAG})>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>"
    r"|<\|end_of_thought\|>|<\|END_THINKING\|>"
)
_MARK = re.compile(f"(?P<opening>{_OPENING})|{_CLOSING}", re.IGNORECASE)


def without_thoughts(text: str) -> str:
    """Return a reply without its thoughts: a draft in them is not the answer.

    A thought that is not closed lasts to the end; one that is only closed began with the text, for
    some servers write the opening mark themselves. Text that is JSON as a whole has no thoughts.

    >>> without_thoughts('<think>Or {"a": 1}?</think> {"a": 2}')
    '{"a": 2}'
    >>> without_thoughts('Hm. {"a": 1}?</think>{"a": 2}<think>Done')
    '{"a": 2}'
    """
    if not _MARK.search(text) or _is_json(text):
        return text
    kept: list[str] = []
    begin, thinking = 0, False
    for mark in _MARK.finditer(text):
        if not mark["opening"]:
            kept = kept if thinking else []
            begin, thinking = mark.end(), False
        elif not thinking:
            kept.append(text[begin : mark.start()])
            thinking = True
    return "".join([*kept, "" if thinking else text[begin:]]).strip()


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True
