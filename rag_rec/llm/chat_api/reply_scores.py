"""Scores of labels, from the log-probabilities of the tokens that a reply could begin with.

A label's score is the log-probability that the reply begins with it, over all tokens that spell it.
Servers give the most likely tokens only: a label that is not among them gets the smallest value
that was given, which is an upper bound of its own. Such labels are tied.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rag_rec.core import ModelError, TransportError
from rag_rec.llm.base import Completion, scores_text
from rag_rec.llm.chat_api.reply_body import (
    failed,
    first_choice,
    parse_reply,
    read_usage,
    refusal_of,
)

MOST_LABELS = 20
"""The number of tokens that the API gives at most, and so of labels that can be told apart."""

UNLIKELY = -9_999.0
"""Stands for a log-probability that the server does not know."""

_LIST_INSTEAD = 'use a prompt with answer = "list"'
_MARKS = "\u0120\u2581"  # a space, as tokenizers of two kinds show it
_ROUNDING = 1e-4


def read_scores_body(
    body: bytes, provider: str, labels: Sequence[str], *, n_sent: int | None = None
) -> Completion:
    """Return a response body with status 200 as the scores of labels.

    Args:
        body: The body; that of a request with log-probabilities.
        provider: The model's spec, for errors.
        labels: The labels of the request's ranking.
        n_sent: Bytes of the request, where known; a count of tokens must be in proportion.

    Returns:
        The completion, without wall time; its text is that of `scores_text`. It ends after one
        token as it should, which is no error.
    """
    try:
        reply = parse_reply(body, provider)
        choice = first_choice(reply, provider)
    except ModelError as error:
        return failed(error)
    usage = read_usage(reply.get("usage"), n_sent)
    if (refused := refusal_of(choice, provider)) is not None:
        return Completion("", usage, refused)
    try:
        scores = label_scores(_first_tokens(choice.logprobs), labels)
    except ValueError as error:
        return Completion("", usage, no_scores(str(error), provider))
    return Completion(scores_text(scores), usage)


def no_scores(problem: str, provider: str) -> TransportError:
    """Return the error of a model that answers, but gives no scores; it will not pass."""
    return TransportError(problem, provider=provider, hint=_LIST_INSTEAD)


def unscorable(n_labels: int, provider: str) -> TransportError | None:
    """Return the error of a request with more labels than can be scored, or None."""
    if n_labels <= MOST_LABELS:
        return None
    problem = f"{n_labels} labels, and the log-probabilities of {MOST_LABELS} tokens at most"
    return no_scores(problem, provider)


def label_scores(tokens: Iterable[tuple[Any, Any]], labels: Sequence[str]) -> list[float]:
    """Return the score of each label, from tokens with their log-probabilities.

    >>> label_scores([("B", -0.5), (" A", -2.0), ("x", -4.0)], ["A", "B", "C"])
    [-2.0, -0.5, -4.0]

    Raises:
        ValueError: If the values are none of log-probabilities, or no label is among the tokens.
    """
    known = _checked(tokens)
    lowest = min(known.values())
    found = [[value for text, value in known.items() if _bare(text) == it] for it in labels]
    if not any(found):
        raise ValueError("none of the labels is among the tokens it would answer with")
    if len(known) < 2 <= len(labels):
        raise ValueError("the log-probability of one token only")
    return [_log_sum(values) if values else lowest for values in found]


def _first_tokens(logprobs: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the tokens that stood at the beginning of a reply, as the chat API writes them."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not content:
        raise ValueError("the server gives no log-probabilities")
    top = content[0].get("top_logprobs") if isinstance(content[0], dict) else None
    if not isinstance(top, list) or not top:
        raise ValueError("the server gives no log-probabilities of other tokens")
    for entry in top:
        if not isinstance(entry, dict):
            raise ValueError("log-probabilities of another form")  # noqa: TRY004 - of a reply
        yield entry.get("token"), entry.get("logprob")


def _checked(tokens: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    """Return log-probabilities by token; one that is listed twice counts once."""
    known: dict[str, float] = {}
    for token, value in tokens:
        if not isinstance(token, str) or type(value) not in {int, float}:
            raise ValueError("a log-probability that is no number")
        if not -math.inf < value <= _ROUNDING:  # true of no NaN
            raise ValueError(f"a log-probability of {str(value)[:20]}")
        if value > UNLIKELY:
            known[token] = max(min(float(value), 0.0), known.get(token, -math.inf))
    if not known:
        raise ValueError("the server gives no log-probabilities")
    if sum(map(math.exp, known.values())) > 1.01:
        raise ValueError("probabilities that make more than 1 together")
    return known


def _bare(token: str) -> str:
    """Return a token without the space before or after it, however that is shown."""
    return token.strip().lstrip(_MARKS).strip()


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    return min(0.0, most + math.log(sum(math.exp(value - most) for value in values)))
