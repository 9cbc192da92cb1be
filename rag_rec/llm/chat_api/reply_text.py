"""Find the answer in a message: in its content, in parts of it, in a call, or in another field."""

from __future__ import annotations

import json
from typing import Any

from rag_rec.core import parse_json, without_thoughts

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def has_thoughts(message: dict[str, Any]) -> bool:
    """Return True for a message with thoughts, in a field of their own or in its content."""
    content = message.get("content")
    text = joined(content) or ""
    parts = content if isinstance(content, list) else []
    marked = without_thoughts(text) != text or any(_text_part(part) is None for part in parts)
    return marked or any(map(message.get, _THOUGHTS))


def text_of(message: dict[str, Any], *, cut: bool) -> str | None:
    """Return the answer, wherever a message has it; thoughts are none. None if nothing is there."""
    text = joined(message.get("content"))
    if text is not None:
        text = without_thoughts(text)
    if text or cut:
        return text
    calls = message.get("tool_calls")
    first: Any = calls[0] if isinstance(calls, list) and calls else {}
    called = first.get("function") if isinstance(first, dict) else None
    for call in (called, message.get("function_call")):
        if isinstance(call, dict) and (arguments := joined(call.get("arguments"))):
            return arguments
    if isinstance(message.get("parsed"), dict):
        return json.dumps(message["parsed"])
    # some servers put a whole answer, which is JSON and nothing else, where thoughts belong
    return next((t for n in _THOUGHTS if _is_document(t := message.get(n))), text)


def joined(content: Any) -> str | None:
    """Return content as text: a text, an object, or a list of parts without the thoughts."""
    match content:
        case str():
            return content
        case dict():
            return json.dumps(content)
        case list():
            return "".join(_text_part(part) or "" for part in content)
        case _:
            return None


def _text_part(part: Any) -> str | None:
    """Return the text of a part of the content; None for a thought."""
    match part:
        case str(text) | {"type": "text" | "output_text", "text": str(text)}:
            return text
        case {"text": str(text), **more} if "type" not in more:
            return text
        case _:
            return None


def _is_document(text: Any) -> bool:
    try:
        return isinstance(text, str) and isinstance(parse_json(text), dict | list)
    except ValueError:
        return False
