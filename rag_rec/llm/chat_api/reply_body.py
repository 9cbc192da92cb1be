"""Read the body of a reply with status 200, in the forms that servers give it.

A body is read here and not by a client, because a 200 may carry HTML, an error object, a stream,
or a completion whose parts are missing or in another place.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

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
        reply = parse_reply(body, provider)
        choice = first_choice(reply, provider)
    except ModelError as error:
        return failed(error)
    usage = read_usage(reply.get("usage"), n_sent)
    if (refused := refusal_of(choice, provider)) is not None:
        return Completion("", usage, refused)
    text = text_of(choice.message, cut=choice.finish in _CUT)
    if usage is not None and usage.completion_tokens * _BYTES_A_TOKEN < len(text or ""):
        usage = None
    return Completion(text or "", usage, _problem(text, choice, provider))


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


def failed(error: ModelError) -> Completion:
    """Return an error as the completion of one call of no known tokens."""
    return Completion(usage=Usage(calls=1), error=error)


def parse_reply(body: bytes, provider: str) -> Any:
    """Return the JSON of a body, a stream joined to the body that it stands for.

    Raises:
        TransportError: If it is neither.
    """
    try:
        return join_stream(body) if is_stream(body) else read_json(body)
    except ValueError as error:
        shown = repr(redacted(body[:2_000].decode("utf-8", "replace"))[:60])
        problem = f"status 200 with a body that is not a completion: {shown} ({error})"
        raise TransportError(problem[:200], provider=provider, retryable=True) from error


class ReplyChoice(NamedTuple):
    """The first choice of a completion.

    Attributes:
        message: The message.
        finish: The reason why it ends, in lower case; empty if there is none.
        logprobs: The log-probabilities of its tokens, as the server wrote them.
    """

    message: dict[str, Any]
    finish: str
    logprobs: Any = None


def first_choice(reply: Any, provider: str) -> ReplyChoice:
    """Return the first choice of a parsed reply.

    Raises:
        ModelError: If there is none; the server's own error, where it names one.
    """
    choices = reply.get("choices") if isinstance(reply, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        found = cast("dict[str, Any]", choice)
        finish = str(found.get("finish_reason") or "").lower()
        if isinstance(message := found.get("message"), dict) and finish not in _FAILED:
            return ReplyChoice(cast("dict[str, Any]", message), finish, found.get("logprobs"))
        if isinstance(text := found.get("text"), str):
            return ReplyChoice({"content": text}, finish, found.get("logprobs"))
    raise no_answer(reply, provider)


def refusal_of(choice: ReplyChoice, provider: str) -> Refused | None:
    """Return the refusal of the model, or of a filter, to answer."""
    refusal = choice.message.get("refusal")
    if not refusal and choice.finish not in _FILTERED:
        return None
    why = redacted(str(refusal))[:120] if refusal else "content filter"
    return Refused(f"refused: {why}", provider=provider)


def no_answer(reply: Any, provider: str, kind: str = "a completion") -> ModelError:
    """Return the error of a parsed reply that holds no answer of its kind."""
    detail: Any = reply.get("error") if isinstance(reply, dict) else None
    code = detail.get("code") if isinstance(detail, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return status_error(code, detail, provider)
    problem = f"status 200 without {kind}: {message_of(detail or reply)[:120]}"
    return TransportError(problem, provider=provider, retryable=True)


def _problem(text: str | None, choice: ReplyChoice, provider: str) -> ModelError | None:
    thought = has_thoughts(choice.message)
    if choice.finish in _CUT:
        problem = "stopped at max_tokens" if text else THOUGHT_ALL
        hint = MORE_ROOM if thought or not text else ""
        return Truncated(problem, provider=provider, hint=hint)
    if text is not None:
        return None
    parts = "thoughts and no answer" if thought else "no text"
    problem = f"a completion of {parts}"
    return TransportError(problem, provider=provider, retryable=True)
