"""Admission: the limits of a run, asked before every request and informed of every reply.

A run that is paid for by the token keeps its limits here: requests and tokens a minute, cost, the
end of the run. Retries need admission as well, so a limit holds whatever happens behind it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from rag_rec.core import ModelError, OnDone
from rag_rec.llm.base import ChatModel, Completion, Request, WrappedModel


class Admission(Protocol):
    """Decides when a request is sent, or that it is not. Called from several threads."""

    def enter(self, request: Request) -> ModelError | None:
        """Return once the request may be sent, or return an error if it may not be sent."""
        ...

    def leave(self, request: Request, completion: Completion) -> None:
        """Record the completion of a request that was admitted."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait before a retry, but not longer than the run goes on."""
        ...


class OpenAdmission:
    """Admits every request at once."""

    def enter(self, request: Request) -> ModelError | None:
        """Admit the request."""
        del request

    def leave(self, request: Request, completion: Completion) -> None:
        """Record nothing."""

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class AdmittedModel(WrappedModel):
    """An admission before a model that does not ask one itself.

    Args:
        model: The model.
        admission: Asked before each request.
        owned: The model is closed with this one.
    """

    def __init__(self, model: ChatModel, admission: Admission, *, owned: bool = True) -> None:
        super().__init__(model, owned=owned)
        self._admission = admission

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`; requests that are not admitted are not passed on."""
        refusals: list[ModelError | None] = []
        sent: list[Request] = []

        def admitted() -> Iterator[Request]:
            for request in requests:
                refusal = self._admission.enter(request)
                refusals.append(refusal)
                if refusal is None:
                    sent.append(request)
                    yield request
                elif on_done:
                    on_done(1)

        replies = self._model.generate(admitted(), on_done)
        for request, reply in zip(sent, replies, strict=True):
            self._admission.leave(request, reply)
        answered = iter(replies)
        return [Completion(error=e) if e is not None else next(answered) for e in refusals]
