"""Join a streamed reply (server-sent events) into the body that is not streamed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

_END = "[DONE]"
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def is_stream(body: bytes) -> bool:
    """Return True for a body of server-sent events."""
    return body.lstrip()[:6].startswith((b"data:", b"event:", b":"))


def join_stream(body: bytes) -> dict[str, Any]:
    """Return the completion, or the error, that the events of a body say together.

    Raises:
        ValueError: If an event is not JSON, or the stream ends before the reply does.
    """
    texts: dict[str, list[Any]] = defaultdict(list)
    finish, usage, ended = None, None, False
    for event in _events(body):
        if event == _END:
            ended = True
            continue
        chunk = json.loads(event)
        if not isinstance(chunk, dict) or "error" in chunk:
            return {"error": chunk}
        usage = chunk.get("usage") or usage
        for choice in (chunk.get("choices") or [])[:1]:
            finish = choice.get("finish_reason") or finish
            for name, text in _delta(choice).items():
                texts[name].append(text)
    if finish is None and not ended:
        raise ValueError("the stream was cut short")
    message = {name: _joined(parts) for name, parts in texts.items()}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _events(body: bytes) -> Iterator[str]:
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    """Return the texts that a chunk adds, the arguments of a tool call among them."""
    delta = cast("dict[str, Any]", choice.get("delta") or choice.get("message") or {})
    found = {name: delta[name] for name in _TEXTS if delta.get(name)}
    for call in (delta.get("tool_calls") or [])[:1]:
        if arguments := (call.get("function") or {}).get("arguments"):
            found["content"] = arguments
    return found


def _joined(parts: list[Any]) -> str | list[Any]:
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    return [inner for part in parts for inner in (part if isinstance(part, list) else [part])]
