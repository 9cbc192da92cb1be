"""Read the body of a reply with status 200, in the forms that servers give it.

A body is read here and not by a client, because a 200 may carry HTML, an error object, a stream,
or a completion whose parts are missing or in another place.
"""

from __future__ import annotations

from typing import Any, cast

from rag_rec.core import (
    ModelError,
    Refused,
    TransportError,
    Truncated,
    Usage,
    read_json,
    redacted,
)
from rag_rec.llm.base import Completion
from rag_rec.llm.chat_api.failures import message_of, status_error
from rag_rec.llm.chat_api.reply_stream import is_stream, join_stream
from rag_rec.llm.chat_api.reply_text import has_thoughts, text_of

_MOST_READ, _MOST_WRITTEN = 10_000_000, 1_000_000
_BYTES_A_TOKEN = 400  # far more than a token of any vocabulary holds on average
_TEMPLATE_TOKENS = 10_000  # a server's own words around a prompt
_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
_CUT = frozenset({"length", "max_tokens", "model_length"})
_FILTERED = frozenset({"content_filter", "safety"})
_FAILED = frozenset({"error", "insufficient_system_resource"})

THOUGHT_ALL = "it used all its tokens to think and wrote no answer"
MORE_ROOM = 'raise request.reasoning_tokens, or set parameters.reasoning_effort = "low"'


def read_body(body: bytes, provider: str, *, n_sent: int | None = None) -> Completion:
    """Return a response body with status 200 as the completion of one call.

    Args:
        body: The body.
        provider: The model's spec, for errors.
        n_sent: Bytes of the request, where known; a count of tokens must be in proportion.

    Returns:
        The completion, without wall time. Its usage is None if the server counted nothing usable.
    """
    try:
        reply = join_stream(body) if is_stream(body) else read_json(body)
    except ValueError as error:
        shown = repr(redacted(body[:2_000].decode("utf-8", "replace"))[:60])
        problem = f"status 200 with a body that is not a completion: {shown} ({error})"
        return _failed(TransportError(problem[:200], provider=provider, retryable=True))
    choice = _first_choice(reply)
    if choice is None:
        return _failed(_no_completion(reply, provider))
    message, finish = choice
    usage = read_usage(reply.get("usage"), n_sent)
    refusal = message.get("refusal")
    if refusal or finish in _FILTERED:
        why = redacted(str(refusal))[:120] if refusal else "content filter"
        return Completion("", usage, Refused(f"refused: {why}", provider=provider))
    text = text_of(message, cut=finish in _CUT)
    if usage is not None and usage.completion_tokens * _BYTES_A_TOKEN < len(text or ""):
        usage = None
    return Completion(text or "", usage, _problem(text, message, finish, provider))


def read_usage(counts: Any, n_sent: int | None = None) -> Usage | None:
    """Return the usage of one call; None unless both counts are whole, positive and plausible.

    Args:
        counts: The server's object of counts.
        n_sent: Bytes of the request, where known.

    >>> read_usage({"prompt_tokens": 12, "completion_tokens": 3}).prompt_tokens
    12
    >>> read_usage({"prompt_tokens": -5, "completion_tokens": 3})
    """
    if not isinstance(counts, dict):
        return None
    read, written = (next((counts[n] for n in names if n in counts), None) for names in _COUNTS)
    if type(read) is not int or type(written) is not int:
        return None
    most = _MOST_READ if n_sent is None else n_sent + _TEMPLATE_TOKENS
    least = 1 + (n_sent or 0) // _BYTES_A_TOKEN
    if not (least <= read <= most and 0 <= written <= _MOST_WRITTEN):
        return None
    return Usage.model_construct(calls=1, prompt_tokens=read, completion_tokens=written)


def _failed(error: ModelError) -> Completion:
    return Completion(usage=Usage(calls=1), error=error)


def _first_choice(reply: Any) -> tuple[dict[str, Any], str] | None:
    """Return the message and finish reason of a completion; None if there is none."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    found = cast("dict[str, Any]", choice)
    finish = str(found.get("finish_reason") or "").lower()
    if isinstance(message := found.get("message"), dict) and finish not in _FAILED:
        return cast("dict[str, Any]", message), finish
    return ({"content": found["text"]}, finish) if isinstance(found.get("text"), str) else None


def _no_completion(reply: Any, provider: str) -> ModelError:
    detail: Any = reply.get("error") if isinstance(reply, dict) else None
    code = detail.get("code") if isinstance(detail, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return status_error(code, detail, provider)
    problem = f"status 200 without a completion: {message_of(detail or reply)[:120]}"
    return TransportError(problem, provider=provider, retryable=True)


def _problem(
    text: str | None, message: dict[str, Any], finish: str, provider: str
) -> ModelError | None:
    thought = has_thoughts(message)
    if finish in _CUT:
        problem = "stopped at max_tokens" if text else THOUGHT_ALL
        hint = MORE_ROOM if thought or not text else ""
        return Truncated(problem, provider=provider, hint=hint)
    if text is not None:
        return None
    parts = "thoughts and no answer" if thought else "no text"
    problem = f"a completion of {parts}"
    return TransportError(problem, provider=provider, retryable=True)
