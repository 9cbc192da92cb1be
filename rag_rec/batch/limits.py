"""Enforce the rate and cost limits of a run, and end it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic

from rag_rec.core import (
    ConfigError,
    ModelError,
    QuotaExhausted,
    RateLimited,
    RunStopped,
    Settings,
    Usage,
)
from rag_rec.llm import ByteEstimate, Completion, Request, estimated_usage, prompt_tokens


@dataclass(frozen=True, slots=True)
class Stop:
    """The reason of an early end.

    Attributes:
        reason: One line for people, with the way on.
        interrupted: True if a person asked for it.
    """

    reason: str
    interrupted: bool = False


class RateLimiter:
    """Space requests evenly over all threads, so that no minute holds more than the limits.

    Args:
        requests_per_minute: 0 for no limit.
        tokens_per_minute: Tokens read and written; 0 for no limit.
    """

    def __init__(self, requests_per_minute: float = 0, tokens_per_minute: float = 0) -> None:
        self._per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_request = 0.0
        self._next_token = 0.0
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def book(self, tokens: int) -> float:
        """Book a request of so many tokens; return the seconds until it may be sent."""
        with self._lock:
            now = monotonic()
            begin = max(now, self._next_request, self._next_token, self._paused_until)
            if self._per_request:
                self._next_request = begin + self._per_request
            self._next_token = max(now, self._next_token) + tokens * self._per_token
            return begin - now

    def correct(self, booked: int, used: int) -> None:
        """Give back the tokens that a request was booked for and did not use."""
        with self._lock:
            self._next_token -= (booked - used) * self._per_token

    def pause(self, seconds: float) -> None:
        """Hold all requests back for so long, as the provider asked."""
        with self._lock:
            self._paused_until = max(self._paused_until, monotonic() + seconds)

    def paused_s(self) -> float:
        """Return the seconds of such a pause that are left."""
        return max(0.0, self._paused_until - monotonic())


class RunLimiter:
    """The admission of a run: rate, number and cost of requests, and the end.

    Requests in flight are booked at the most they can cost, so that no limit is passed.

    Args:
        settings: Prices and limits.

    Attributes:
        stop: The reason why the run is ending; None while it goes on.
        rate: The rate limits, shared by all threads.
        changes: Parameters that were sent in another form than asked for, one line each.

    Raises:
        ConfigError: If there is a limit of cost and prices are not known.
    """

    def __init__(self, settings: Settings) -> None:
        self.limits = settings.batch
        self.prices = settings.prices
        self.stop: Stop | None = None
        self.changes: tuple[str, ...] = ()
        self.rate = RateLimiter(self.limits.requests_per_minute, self.limits.tokens_per_minute)
        self._max_wait_s = settings.request.max_wait_s
        self._counter = ByteEstimate()
        self._lock = threading.Condition()
        self._stopping = threading.Event()
        self._usage = Usage()
        self._booked = Usage()
        if self.limits.max_cost is not None and self.prices is None:
            raise ConfigError(
                "a limit of cost needs prices: put [prices] with input and output, "
                "a million tokens each, into the settings file"
            )

    @property
    def usage(self) -> Usage:
        """Usage of the job so far, earlier runs included."""
        return self._usage

    def add_usage(self, usage: Usage) -> None:
        """Add usage of requests that did not pass here: of earlier runs, or of Ray's actors."""
        with self._lock:
            self._usage += usage

    def end(self, reason: str, *, interrupted: bool = False) -> None:
        """End the run: nothing more is sent. The first reason stays."""
        with self._lock:
            self.stop = self.stop or Stop(reason, interrupted)
            self._lock.notify_all()
        self._stopping.set()

    def cost(self, usage: Usage) -> float | None:
        """Return the price of a usage; None where prices are not known."""
        if self.prices is None:
            return None
        return self.prices.cost(usage.prompt_tokens, usage.completion_tokens)

    def enter(self, request: Request) -> ModelError | None:
        """Book a request and wait for its turn; return an error if the run ends before."""
        most = self._most(request)
        if self._book(most):
            wait = self.rate.book(_tokens(most))
            while wait > 0 and not self._stopping.wait(wait):
                wait = self.rate.paused_s()  # a pause that a provider asked for meanwhile
            if wait <= 0:
                return None
            self._unbook(most)
        return RunStopped(self.stop.reason if self.stop else "the run ends", provider="run")

    def leave(self, request: Request, completion: Completion) -> None:
        """Count the cost of a request; pause or end the run if the provider asks for it."""
        usage = completion.usage or estimated_usage(request, completion)
        most, error = self._most(request), completion.error
        self.add_usage(usage)
        if not set(completion.changes) <= set(self.changes):
            self.changes = tuple(dict.fromkeys((*self.changes, *completion.changes)))
        self._unbook(most)
        self.rate.correct(_tokens(most), _tokens(usage))
        if isinstance(error, QuotaExhausted):
            self.end(f"{error}")
        elif isinstance(error, RateLimited) and error.retry_after_s:
            if error.retry_after_s <= self._max_wait_s:
                self.rate.pause(error.retry_after_s)
            else:
                self.end(
                    f"the provider asks to wait {error.retry_after_s:.0f} s, longer than "
                    f"request.max_wait_s = {self._max_wait_s:.0f}"
                )

    def wait(self, seconds: float) -> None:
        """Wait until a retry is due, or the run ends."""
        self._stopping.wait(seconds)

    def _most(self, request: Request) -> Usage:
        """Return the highest usage that a request can have."""
        read = prompt_tokens(self._counter, request)
        return Usage(calls=1, prompt_tokens=read, completion_tokens=request.max_tokens)

    def _book(self, most: Usage) -> bool:
        """Book a request at the most it can cost; end the run and return False at a limit.

        The requests booked by others may come cheaper, so they are waited for before a cost
        ends the run.
        """
        limits = self.limits
        with self._lock:
            while self.stop is None:
                if self._is_full():
                    break
                cost = self.cost(self._usage + self._booked + most) or 0.0
                if limits.max_cost is None or cost <= limits.max_cost:
                    self._booked += most
                    return True
                if not self._booked.calls:
                    break
                self._lock.wait()
            full = self._is_full()
        name = f"--max-requests {limits.max_requests}" if full else f"--max-cost {limits.max_cost}"
        self.end(f"{name} is reached; give a higher one to go on")
        return False

    def _is_full(self) -> bool:
        limit = self.limits.max_requests
        return limit is not None and self._usage.calls + self._booked.calls >= limit

    def _unbook(self, most: Usage) -> None:
        with self._lock:
            self._booked -= most
            self._lock.notify_all()


def _tokens(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens
