"""What stands before the model: asked before every request, told of every answer.

A run that is paid for by the token keeps its limits here: requests and tokens a minute, cost, the
end of the run. Retries pass the gate as well, so a limit is a limit whatever happens behind it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from rag_rec.core import ModelError
from rag_rec.llm.base import ChatModel, Completion, OnDone, Request
from rag_rec.llm.middleware.wrapper import WrappedModel


class Gate(Protocol):
    """Decides when, and whether, a request is sent. Called from several threads."""

    def enter(self, request: Request) -> ModelError | None:
        """Returns when the request may be sent; or an error if it may not be sent at all."""
        ...

    def leave(self, request: Request, completion: Completion) -> None:
        """Takes note of what a request that was let in came to."""
        ...

    def wait(self, seconds: float) -> None:
        """Waits before a retry, but not longer than the run goes on."""
        ...


class OpenGate:
    """Lets everything pass."""

    def enter(self, request: Request) -> ModelError | None:
        """Nothing is refused."""
        del request

    def leave(self, request: Request, completion: Completion) -> None:
        """Nothing is counted."""

    def wait(self, seconds: float) -> None:
        """Sleeps."""
        time.sleep(seconds)


class GatedModel(WrappedModel):
    """A gate before a model that has none of its own; one entry a request.

    Args:
        model: The model.
        gate: Asked before each request.
        owned: Whether the model is closed with this one.
    """

    def __init__(self, model: ChatModel, gate: Gate, *, owned: bool = True) -> None:
        super().__init__(model, owned=owned)
        self._gate = gate
        self._lock = threading.Lock()

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`; what the gate refuses is not passed on."""
        refusals: list[ModelError | None] = []
        sent: list[Request] = []

        def let_in() -> Iterator[Request]:
            for request in requests:
                refusal = self._gate.enter(request)
                refusals.append(refusal)
                if refusal is None:
                    sent.append(request)
                    yield request
                elif on_done:
                    on_done(1)

        replies = self._model.generate(let_in(), on_done)
        for request, reply in zip(sent, replies, strict=True):
            self._gate.leave(request, reply)
        answered = iter(replies)
        return [Completion(error=e) if e is not None else next(answered) for e in refusals]
