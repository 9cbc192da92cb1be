"""The contract of a language model: messages and a JSON schema in, a completion out.

A `ChatModel` takes a batch and returns one `Completion` a request, in order. A request that
fails is a completion with an error, so that it cannot take its neighbours with it.

A request with a `Ranking` asks for scores in place of words. Models that can give them name
``scores`` in their ``answers``; rerankers name nothing else.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast, runtime_checkable

from rag_rec.core import Message, ModelError, OnDone, TokenCounter, Usage


class Deadline:
    """Seconds that one user's requests may take together, counted from the first that is sent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: float | None = None

    def left_s(self) -> float:
        """Return the seconds left; the first call starts the clock."""
        now = time.monotonic()
        if self._ends is None:
            self._ends = now + self._seconds
        return self._ends - now

    @property
    def has_passed(self) -> bool:
        """True if no seconds are left; does not start the clock."""
        return self._ends is not None and time.monotonic() >= self._ends


Answer = Literal["text", "scores"]
"""The two kinds of answer: words, or a score for each label of a `Ranking`."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates to score, in the order of the prompt.

    Attributes:
        labels: The label of each candidate, as it stands in the messages; distinct.
        query: What the candidates are ranked for, for models that read no messages.
        documents: The text of each candidate, likewise.
    """

    labels: tuple[str, ...]
    query: str
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One call.

    Attributes:
        messages: The chat so far, ending with the user's turn.
        schema: JSON schema of the reply, or None for free text. Only integers with ``enum``,
            strings with ``maxLength``, arrays with ``minItems``/``maxItems`` and closed objects.
        max_tokens: Upper bound of tokens written.
        temperature: 0 for the most likely reply.
        seed: Sampling seed, where the backend takes one.
        ranking: Candidates to score in place of a reply in words, or None. The completion's text
            is then what `scores_text` makes of the scores.
        deadline: Time limit of models behind a network, shared by all requests of one user.
    """

    messages: tuple[Message, ...]
    schema: dict[str, Any] | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    ranking: Ranking | None = None
    deadline: Deadline | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one request.

    Attributes:
        text: The model's reply; may be incomplete when `error` is `Truncated`.
        usage: Cost of the request, failed attempts included; None if the backend answered without
            a usable count of tokens.
        error: The reason why there is no complete reply, or None.
        changes: Parameters that were sent in another form than asked for, one line each.
    """

    text: str = ""
    usage: Usage | None = field(default_factory=Usage)
    error: ModelError | None = None
    changes: tuple[str, ...] = ()

    @property
    def counted(self) -> Usage:
        """The usage; one call of no known tokens where there is none."""
        return self.usage or Usage(calls=1)


@runtime_checkable
class ChatModel(Protocol):
    """A language model behind one synchronous, batch-first call.

    Attributes:
        name: The spec it was opened with; part of the run's fingerprint.
        context_tokens: Upper bound of prompt and reply together.
        tokens: The model's token counter.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def context_tokens(self) -> int: ...  # noqa: D102
    @property
    def tokens(self) -> TokenCounter: ...  # noqa: D102

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """Return one completion a request, in order; never raise for one request.

        Requests may be made while they are taken, so that the first are answered meanwhile.
        """
        ...

    def close(self) -> None:
        """Free the model's resources; harmless when called twice."""
        ...


def answers_of(model: ChatModel) -> frozenset[Answer]:
    """Return the kinds of answer that a model gives; words, if it does not say."""
    return getattr(model, "answers", frozenset[Answer]({"text"}))


def scores_text(scores: Sequence[float]) -> str:
    """Return scores as the text of a completion: a JSON array with one number a label.

    >>> scores_text([-0.25, -1.5])
    '[-0.25,-1.5]'

    Raises:
        ValueError: If a score is not finite.
    """
    if not all(map(math.isfinite, scores)):
        raise ValueError("a score is not a finite number")
    return json.dumps([round(float(score), 6) for score in scores], separators=(",", ":"))


def scores_schema(n_labels: int) -> dict[str, Any]:
    """Return the JSON schema of `scores_text` for so many labels."""
    number = {"type": "number"}
    return {"type": "array", "items": number, "minItems": n_labels, "maxItems": n_labels}


class WrappedModel:
    """Base of models that stand before another one and share its name, context and tokens.

    Args:
        model: The model behind.
        owned: The model behind is closed with this one.
    """

    def __init__(self, model: ChatModel, *, owned: bool = True) -> None:
        self._model = model
        self._owned = owned

    @property
    def name(self) -> str:
        """Name of the model behind."""
        return self._model.name

    @property
    def context_tokens(self) -> int:
        """Context length of the model behind."""
        return self._model.context_tokens

    @property
    def tokens(self) -> TokenCounter:
        """Token counter of the model behind."""
        return self._model.tokens

    @property
    def answers(self) -> frozenset[Answer]:
        """Kinds of answer of the model behind."""
        return answers_of(self._model)

    def as_sent(self, request: Request) -> Request:
        """See `as_sent`."""
        return as_sent(self._model, request)

    def close(self) -> None:
        """Close the model behind, if it is owned."""
        if self._owned:
            self._model.close()


def as_sent(model: ChatModel, request: Request) -> Request:
    """Return a request with the ``max_tokens`` that a model sends, room for reasoning included."""
    of_model: Callable[[Request], Request] | None = getattr(model, "as_sent", None)
    return request if of_model is None else of_model(request)


def timed(usage: Usage | None, started: float) -> Usage | None:
    """Return a call's usage with its time, from ``time.perf_counter() == started`` to now."""
    return usage and usage.model_copy(update={"wall_s": time.perf_counter() - started})


def encodable(text: str) -> str:
    """Return the text with unpaired surrogates, which UTF-8 cannot carry, replaced by ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def portable_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without ``maxLength``, which strict modes of several servers refuse."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            table = cast("dict[str, Any]", value)
            return {name: strip(inner) for name, inner in table.items() if name != "maxLength"}
        return value

    return strip(schema)
