"""The one retry layer of the program: clients below it never retry by themselves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice

from rag_rec.core import ModelError, ModelTimeout, OnDone, TransportError, Usage
from rag_rec.llm.base import Completion, Request
from rag_rec.llm.middleware.admission import Admission, OpenAdmission


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Number of attempts, and waits between them.

    Attributes:
        attempts: Requests sent at most for one completion.
        base_s: First wait; doubled each time, with up to a half of it added at random.
        max_wait_s: A wait longer than this, also one asked for by the provider, ends the attempts.
    """

    attempts: int = 3
    base_s: float = 0.5
    max_wait_s: float = 30.0

    def wait_s(self, attempt: int, asked_s: float | None) -> float:
        """Return the seconds before the next attempt; those the provider asked for come first."""
        if asked_s is not None:
            return asked_s
        return self.base_s * 2**attempt * (1 + random.random() / 2)  # noqa: S311 - jitter


class Adapted(TransportError):
    """A refusal that the model has adapted to: the request is sent again in another form."""


class Sender:
    """Sends requests one by one, in threads, again where it helps, and only when admitted.

    Args:
        once: One attempt; never raises.
        policy: Attempts and waits.
        admission: Asked before every attempt; None to admit all.
        concurrency: Requests in flight at most.
        prepare: Returns a request as it is to be sent now; applied before every attempt.
        refuse: Returns the error of a request that is not to be sent at all; asked first.
    """

    def __init__(
        self,
        once: Callable[[Request], Completion],
        policy: RetryPolicy,
        *,
        admission: Admission | None = None,
        concurrency: int = 1,
        prepare: Callable[[Request], Request] = lambda request: request,
        refuse: Callable[[Request], ModelError | None] = lambda request: None,  # noqa: ARG005
    ) -> None:
        self._once, self._policy, self._concurrency = once, policy, concurrency
        self._prepare, self._refuse = prepare, refuse
        self._admission = admission or OpenAdmission()

    def send(self, requests: Iterable[Request], on_done: OnDone | None = None) -> list[Completion]:
        """Return the completions in the order of the requests.

        Requests are taken as fast as they come, while those before them are being answered.
        """

        def one(request: Request) -> Completion:
            completion = self.complete(request)
            if on_done:
                on_done(1)
            return completion

        waiting = iter(requests)
        first = list(islice(waiting, 2))  # one alone needs no thread
        if len(first) < 2 or self._concurrency == 1:
            return [one(request) for request in chain(first, waiting)]
        with ThreadPoolExecutor(self._concurrency) as pool:
            return list(pool.map(one, chain(first, waiting)))

    def complete(self, request: Request) -> Completion:
        """Send a request until it succeeds, cannot succeed, or a limit ends the attempts.

        Returns:
            The last attempt's completion, with the usage of all.
        """
        if (refused := self._refuse(request)) is not None:
            return Completion(error=refused)
        if request.deadline and request.deadline.has_passed:
            late = "the user's deadline has passed, so nothing was sent"
            return Completion(error=ModelTimeout(late, provider="run"))
        spent: list[Usage | None] = []
        attempt = 0
        while True:
            sent = self._prepare(request)
            refusal = self._admission.enter(sent)
            if refusal is not None:
                return Completion(usage=_total(spent), error=refusal)
            completion = self._once(sent)
            self._admission.leave(sent, completion)
            spent.append(completion.usage)
            if self._is_outdated(request, sent, completion):
                continue
            wait = self._wait_s(request, completion, attempt)
            if wait is None:
                return replace(completion, usage=_total(spent))
            self._admission.wait(wait)
            attempt += 1

    def _is_outdated(self, request: Request, sent: Request, completion: Completion) -> bool:
        """Return True if a failed request would now be sent in another form, and there is time."""
        if completion.error is None or _is_late(request, 0):
            return False
        return isinstance(completion.error, Adapted) or self._prepare(request) != sent

    def _wait_s(self, request: Request, completion: Completion, attempt: int) -> float | None:
        """Return the wait before another attempt; None if there is to be none."""
        error = completion.error
        if error is None or not error.retryable or attempt + 1 >= self._policy.attempts:
            return None
        wait = self._policy.wait_s(attempt, error.retry_after_s)
        if wait > self._policy.max_wait_s:
            return None
        return None if _is_late(request, wait) else wait


def _is_late(request: Request, wait_s: float) -> bool:
    return request.deadline is not None and wait_s >= request.deadline.left_s()


def _total(spent: list[Usage | None]) -> Usage | None:
    """Return the sum of the attempts; None if the tokens of one are not known."""
    known = [usage for usage in spent if usage is not None]
    if len(known) < len(spent):
        return None
    return known[0] if len(known) == 1 else sum(known, Usage())
