"""Join a streamed reply (server-sent events) into the body that is not streamed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

from rag_rec.core import read_json

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
    choices: list[Any] = []
    logprobs: list[Any] = []
    finish, usage, ended = None, None, False
    for event in _events(body):
        if event == _END:
            ended = True
            continue
        chunk = _table(read_json(event))
        if "error" in chunk:
            return chunk
        usage = chunk.get("usage") or usage
        if choice := _first(chunk.get("choices")):
            finish = choice.get("finish_reason") or finish
            choices = [{"message": {}, "finish_reason": finish}]
            logprobs += _tokens(choice)
            for name, text in _delta(choice).items():
                texts[name].append(text)
    if finish is None and not ended:
        raise ValueError("the stream was cut short")
    for choice in choices:
        choice["message"] = {name: _joined(parts) for name, parts in texts.items()}
        choice["logprobs"] = {"content": logprobs} if logprobs else None
    return {"choices": choices, "usage": usage}


def _events(body: bytes) -> Iterator[str]:
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    """Return the texts that a chunk adds, the arguments of a tool call among them."""
    delta = _table(choice.get("delta") or choice.get("message"))
    found = {name: delta[name] for name in _TEXTS if delta.get(name)}
    if arguments := _table(_first(delta.get("tool_calls")).get("function")).get("arguments"):
        found["content"] = arguments
    return found


def _tokens(choice: dict[str, Any]) -> list[Any]:
    """Return the log-probabilities that a chunk adds."""
    content = _table(choice.get("logprobs")).get("content")
    return content if isinstance(content, list) else []


def _table(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _first(value: Any) -> dict[str, Any]:
    return _table(value[0]) if isinstance(value, list) and value else {}


def _joined(parts: list[Any]) -> str | list[Any]:
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    return [inner for part in parts for inner in (part if isinstance(part, list) else [part])]
