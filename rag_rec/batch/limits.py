"""`Control`: the gate of a run. It keeps the pace and the purse, and ends the run."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rag_rec.batch.pace import Pace
from rag_rec.core import (
    ConfigError,
    ModelError,
    QuotaExhausted,
    RateLimited,
    RunStopped,
    Settings,
    Usage,
)
from rag_rec.llm import ByteEstimate, Completion, Request

_MARKS = 12  # tokens that a chat format adds to a message, at most


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ends before its end.

    Attributes:
        reason: For people, with the way on.
        interrupted: Whether a person asked for it.
    """

    reason: str
    interrupted: bool = False


class Control:
    """See `rag_rec.llm.Gate`. Requests in flight are booked at the most they can cost.

    Args:
        settings: Prices and limits.

    Attributes:
        stop: Why the run is ending; None while it goes on.

    Raises:
        ConfigError: If a cost is to be limited and prices are not known.
    """

    def __init__(self, settings: Settings) -> None:
        self.limits = settings.batch
        self.prices = settings.prices
        self.stop: Stop | None = None
        self.pace = Pace(self.limits.requests_per_minute, self.limits.tokens_per_minute)
        self._max_wait_s = settings.request.max_wait_s
        self._counter = ByteEstimate()
        self._lock = threading.Condition()
        self._stopping = threading.Event()
        self._usage = Usage()
        self._booked_requests = 0
        self._booked_cost = 0.0
        if self.limits.max_cost is not None and self.prices is None:
            raise ConfigError(
                "a limit of cost needs prices: put [prices] with input and output, "
                "a million tokens each, into the settings file"
            )

    @property
    def usage(self) -> Usage:
        """What has been spent: what the job had cost before, and every request since."""
        return self._usage

    def spent(self, usage: Usage) -> None:
        """Counts what was spent elsewhere: by earlier runs of the job, or by actors."""
        with self._lock:
            self._usage += usage

    def end(self, reason: str, *, interrupted: bool = False) -> None:
        """Ends the run: nothing more is sent. The first reason stays."""
        with self._lock:
            self.stop = self.stop or Stop(reason, interrupted)
            self._lock.notify_all()
        self._stopping.set()

    def cost(self, usage: Usage) -> float | None:
        """Price of a usage, where prices are known."""
        if self.prices is None:
            return None
        return self.prices.cost(usage.prompt_tokens, usage.completion_tokens)

    # --- the gate ---------------------------------------------------------------------------

    def enter(self, request: Request) -> ModelError | None:
        """Waits for the request's turn, and books it."""
        tokens = self._prompt_tokens(request) + request.max_tokens
        if self._book(request):
            wait = self.pace.wait_s(tokens)
            while wait > 0 and not self._stopping.wait(wait):
                wait = self.pace.paused_s()  # what a provider asked for meanwhile
            if wait <= 0:
                return None
            self._unbook(request)
        return RunStopped(self.stop.reason if self.stop else "the run ends", provider="run")

    def leave(self, request: Request, completion: Completion) -> None:
        """Counts what the request has cost; a provider that has had enough ends the run."""
        usage = completion.usage
        with self._lock:
            self._usage += usage
        self._unbook(request)
        booked = self._prompt_tokens(request) + request.max_tokens
        self.pace.correct(booked, usage.prompt_tokens + usage.completion_tokens)
        self._heed(completion.error)

    def wait(self, seconds: float) -> None:
        """Waits until a retry is due, or the run ends."""
        self._stopping.wait(seconds)

    def _heed(self, error: ModelError | None) -> None:
        if isinstance(error, QuotaExhausted):
            self.end(f"{error}")
        elif isinstance(error, RateLimited) and error.retry_after_s:
            if error.retry_after_s > self._max_wait_s:
                self.end(
                    f"the provider asks to wait {error.retry_after_s:.0f} s, longer than "
                    f"request.max_wait_s = {self._max_wait_s:.0f}"
                )
            else:
                self.pace.pause(error.retry_after_s)

    def _prompt_tokens(self, request: Request) -> int:
        texts = [message.content for message in request.messages]
        return sum(self._counter.count(texts)) + _MARKS * len(texts)

    def _book(self, request: Request) -> bool:
        """Books a request at the most it can cost; False, and the run ends, at a limit.

        What others have booked may come cheaper, so before a cost stops the run they are waited
        for.
        """
        limits, worst = self.limits, self._worst(request)
        with self._lock:
            while self.stop is None:
                sent = self._usage.calls + self._booked_requests
                if limits.max_requests is not None and sent >= limits.max_requests:
                    break
                cost = (self.cost(self._usage) or 0.0) + self._booked_cost + worst
                if limits.max_cost is None or cost <= limits.max_cost:
                    self._booked_requests += 1
                    self._booked_cost += worst
                    return True
                if not self._booked_requests:
                    break
                self._lock.wait()
            sent = self._usage.calls + self._booked_requests
            full = limits.max_requests is not None and sent >= limits.max_requests
        name = f"--max-requests {limits.max_requests}" if full else f"--max-cost {limits.max_cost}"
        self.end(f"{name} is reached; give a higher one to go on")
        return False

    def _unbook(self, request: Request) -> None:
        with self._lock:
            self._booked_requests -= 1
            self._booked_cost -= self._worst(request)
            self._lock.notify_all()

    def _worst(self, request: Request) -> float:
        if self.prices is None:
            return 0.0
        return self.prices.cost(self._prompt_tokens(request), request.max_tokens)
