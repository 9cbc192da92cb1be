"""Requests in threads, answers in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from rag_rec.llm.base import Completion, OnDone, Request


def map_requests(
    answer: Callable[[Request], Completion],
    requests: Sequence[Request],
    *,
    concurrency: int,
    on_done: OnDone | None,
) -> list[Completion]:
    """``answer`` of every request, at most ``concurrency`` at a time, in the given order."""

    def one(request: Request) -> Completion:
        completion = answer(request)
        if on_done:
            on_done(1)
        return completion

    if len(requests) <= 1 or concurrency == 1:
        return [one(request) for request in requests]
    with ThreadPoolExecutor(min(concurrency, len(requests))) as pool:
        return list(pool.map(one, requests))
