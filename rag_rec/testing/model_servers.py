"""`MODEL_SERVERS`: how the servers of model families answer, for a `ChatServer`.

Each takes and refuses parameters, and writes its replies, as its provider documents it or as users
report it. The names are those of the table in docs/models.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rag_rec.testing.server import Json, Response, completion

Refuse = Callable[[Json], Response | None]
"""From a request's body to an error, or None if the request is taken."""

_THOUGHT_TOKENS = 2_000
_REPLY_TOKENS = 60
_DRAFT = '{"items": [{"label": 2, "reason": "a first rough idea of mine"}]}'


def choose_labels(request: Json) -> str:
    """Return a reply for any form of request: labels from 1, as many as the prompt asks for."""
    prompt = request["messages"][-1]["content"]
    k = next((n for n in range(20, 0, -1) if f" {n} items" in prompt), 1)
    reason = "Number {} goes well with what you already have."
    entries = [{"label": n, "reason": reason.format(n)} for n in range(1, k + 1)]
    return json.dumps({"items": entries})


@dataclass(frozen=True, slots=True)
class ModelServer:
    """The answers of one family of servers; call it with the body of a request.

    Attributes:
        model: A model's name of the family.
        refuse: Refuses requests.
        write: Writes the body of a reply, from the answer's text.
        thinks: The model thinks first, on the tokens of its reply.
    """

    model: str = "scripted"
    refuse: tuple[Refuse, ...] = ()
    write: Callable[[str], bytes] = completion
    thinks: bool = False

    def __call__(self, request: Json) -> Response:
        """Answer a request."""
        for refuse in self.refuse:
            if (refusal := refuse(request)) is not None:
                return refusal
        limit = request.get("max_completion_tokens") or request.get("max_tokens") or 10**6
        if self.thinks and limit < _THOUGHT_TOKENS + _REPLY_TOKENS:
            return Response(completion("", finish="length", tokens=limit))
        return Response(self.write(choose_labels(request)))


def _error(message: str, status: int = 400, **fields: Any) -> Response:
    error = {"message": message, "type": "invalid_request_error", **fields}
    return Response(json.dumps({"error": error}).encode(), status)


def _fixed_temperature(request: Json) -> Response | None:
    value = request.get("temperature", 1)
    if value == 1:
        return None
    message = (
        f"Unsupported value: 'temperature' does not support {value:.1f} with this model. "
        "Only the default (1) value is supported."
    )
    return _error(message, param="temperature", code="unsupported_value")


def _no_max_tokens(request: Json) -> Response | None:
    if "max_tokens" not in request:
        return None
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead."
    )
    return _error(message, param="max_tokens", code="unsupported_parameter")


def _extra_forbidden(*known: str) -> Refuse:
    """Refuse every parameter that is not known, as servers built on Pydantic do."""

    def refuse(request: Json) -> Response | None:
        extra = [name for name in request if name not in {"model", "messages", *known}]
        if not extra:
            return None
        fault = {"type": "extra_forbidden", "loc": ["body", extra[0]], "input": request[extra[0]],
                 "msg": "Extra inputs are not permitted"}  # fmt: skip
        body = {"object": "error", "message": {"detail": [fault]}, "type": "invalid_request_error"}
        return Response(json.dumps(body).encode(), 422)

    return refuse


def _no_schema(request: Json) -> Response | None:
    if request.get("response_format", {}).get("type") != "json_schema":
        return None
    return _error("This response_format type is unavailable now")


def _no_response_format(request: Json) -> Response | None:
    if "response_format" not in request:
        return None
    message = "litellm.UnsupportedParamsError: the model does not support parameters: "
    return _error(f"{message}['response_format'], for model=scripted.", code="400")


def _no_system(request: Json) -> Response | None:
    if request["messages"][0]["role"] != "system":
        return None
    return _error("jinja2.exceptions.TemplateError: System role not supported")


def _streams_only(request: Json) -> Response | None:
    if request.get("stream"):
        return None
    message = "This model only support stream mode, please enable the stream parameter."
    return _error(message, code="invalid_parameter_error")


def _message(**message: Any) -> Callable[[str], bytes]:
    """Write the answer where the value of a field is "TEXT"."""
    template = json.dumps({"content": None, **message})

    def write(text: str) -> bytes:
        filled = json.loads(template.replace('"TEXT"', json.dumps(text)))
        return completion(filled.pop("content"), **filled)

    return write


def _without(*names: str) -> Callable[[str], bytes]:
    """Write a completion without some of its fields."""

    def write(text: str) -> bytes:
        body = json.loads(completion(text))
        for table in (body, body["choices"][0]):
            for name in names:
                table.pop(name, None)
        return json.dumps(body).encode()

    return write


def _around(before: str) -> Callable[[str], bytes]:
    return lambda text: completion(before + text)


def _streamed(text: str) -> bytes:
    """Write a stream: a comment, thoughts, the text in pieces, usage, the end."""
    deltas = [{"role": "assistant", "reasoning_content": "Hm."}]
    deltas += [{"content": text[at : at + 9]} for at in range(0, len(text), 9)]
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": json.loads(completion(text))["usage"]})
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return (": processing\n\n" + "".join(events) + "data: [DONE]\n\n").encode()


_REASONING = (_fixed_temperature, _no_max_tokens)
_CALL = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": "TEXT"}}
_PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": _DRAFT}]},
          {"type": "text", "text": "TEXT"}]  # fmt: skip
_common_only = _extra_forbidden("max_tokens", "temperature", "response_format")
_messages_only = _extra_forbidden()

MODEL_SERVERS: Mapping[str, ModelServer] = {
    "common": ModelServer(),
    "gpt-5": ModelServer("gpt-5-mini", _REASONING, thinks=True),
    "o-series": ModelServer("o4-mini", _REASONING, thinks=True),
    "deployment": ModelServer("my-deployment", _REASONING, thinks=True),
    "deepseek": ModelServer("deepseek-chat", (_no_schema,)),
    "r1": ModelServer("deepseek-r1:8b", write=_around(f"<think>{_DRAFT}</think>\n"), thinks=True),
    "qwen": ModelServer("qwq-32b", write=_around(f"Or {_DRAFT}?</think>\n"), thinks=True),
    "mistral": ModelServer("mistral-small", (_common_only,), _message(content=_PARTS)),
    "gateway": ModelServer(refuse=(_no_response_format,)),
    "strict-gateway": ModelServer(refuse=(_messages_only,)),
    "no-usage": ModelServer(write=_without("usage")),
    "no-finish-reason": ModelServer(write=_without("finish_reason")),
    "stream-only": ModelServer(refuse=(_streams_only,), write=_streamed),
    "no-system-role": ModelServer("gemma-2-9b-it", (_no_system,)),
    "reasoning-field": ModelServer(write=_message(reasoning_content="TEXT")),
    "tool-call": ModelServer(write=_message(tool_calls=[_CALL])),
}
"""Every server by name."""
