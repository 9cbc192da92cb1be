"""The one retry layer of the program: clients below it never retry by themselves."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from rag_rec.core import Usage
from rag_rec.llm.base import Completion, Request
from rag_rec.llm.middleware.admission import Gate, OpenGate


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long.

    Attributes:
        attempts: Requests sent at most for one completion.
        base_s: First wait; doubled each time, with up to a half of it added at random.
        max_wait_s: A wait longer than this, asked for by the provider too, ends the attempts.
    """

    attempts: int = 3
    base_s: float = 0.5
    max_wait_s: float = 30.0

    def wait_s(self, attempt: int, asked_s: float | None) -> float:
        """Seconds before the next attempt; what the provider asked for wins."""
        if asked_s is not None:
            return asked_s
        return self.base_s * 2**attempt * (1 + random.random() / 2)  # noqa: S311 - jitter


def complete(
    request: Request,
    once: Callable[[Request], Completion],
    policy: RetryPolicy,
    gate: Gate | None = None,
) -> Completion:
    """Sends a request until it succeeds, cannot succeed, or the policy, gate or deadline ends it.

    Returns:
        The last attempt's completion, with the usage of all.
    """
    gate = gate or OpenGate()
    usage: Usage | None = None
    attempt = 0
    while True:
        refusal = gate.enter(request)
        if refusal is not None:
            return Completion(usage=usage or Usage(), error=refusal)
        completion = once(request)
        gate.leave(request, completion)
        usage = completion.usage if usage is None else usage + completion.usage
        error = completion.error
        attempt += 1
        if error is None or not error.retryable or attempt >= policy.attempts:
            break
        wait = policy.wait_s(attempt - 1, error.retry_after_s)
        if wait > policy.max_wait_s or (request.deadline and wait >= request.deadline.left_s()):
            break
        gate.wait(wait)
    return replace(completion, usage=usage)
