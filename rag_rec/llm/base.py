"""What a language model is to this library: messages and a JSON schema in, a completion out.

A `ChatModel` takes a batch and returns one `Completion` a request, in order. A request that
fails is a completion with an error, so that it cannot take its neighbours with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from rag_rec.core import Message, ModelError, OnDone, TokenCounter, Usage


class Deadline:
    """Seconds that one user's requests may take together, counted from the first that is sent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: float | None = None

    def left_s(self) -> float:
        """Seconds left; the first call starts the clock."""
        now = time.monotonic()
        if self._ends is None:
            self._ends = now + self._seconds
        return self._ends - now


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
        deadline: When models behind a network give up, shared by all requests of one user.
    """

    messages: tuple[Message, ...]
    schema: dict[str, Any] | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    deadline: Deadline | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one request.

    Attributes:
        text: What the model wrote; may be a torso when `error` is `Truncated`.
        usage: What it cost, failed attempts included.
        error: Why there is no complete reply, or None.
    """

    text: str = ""
    usage: Usage = field(default_factory=Usage)
    error: ModelError | None = None


@runtime_checkable
class ChatModel(Protocol):
    """A language model behind one synchronous, batch-first call.

    Attributes:
        name: The spec it was opened with; part of the run's identity.
        context_tokens: Prompt and reply together may not exceed this.
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
        """Answers in the order of ``requests``, one each; never raises for one request.

        Requests may be made while they are taken, so that the first are answered meanwhile.
        """
        ...

    def close(self) -> None:
        """Frees what the model holds; harmless when called twice."""
        ...


class ByteEstimate:
    """Token estimate from the text's length, for models whose tokenizer is not at hand.

    One token per three ASCII characters and per byte of any other: English and JSON run at four
    and more characters a token in current vocabularies, and no byte-level vocabulary needs more
    than one token a byte.
    """

    exact = False
    per_message = 12

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, rounded up.

        >>> ByteEstimate().count(["", "abc", "abcd", "茶"])
        [0, 1, 2, 3]
        """
        counts: list[int] = []
        for text in texts:
            n_ascii = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
            n_bytes = n_ascii if text.isascii() else len(text.encode("utf-8", "replace"))
            counts.append((n_ascii + 2) // 3 + n_bytes - n_ascii)
        return counts
