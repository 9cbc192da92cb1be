"""Requests in threads, answers in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

from rag_rec.llm.base import Completion, OnDone, Request


def map_requests(
    answer: Callable[[Request], Completion],
    requests: Iterable[Request],
    *,
    concurrency: int,
    on_done: OnDone | None,
) -> list[Completion]:
    """``answer`` of every request, at most ``concurrency`` at a time, in the given order.

    Requests are taken as fast as they come, while those before them are being answered.
    """

    def one(request: Request) -> Completion:
        completion = answer(request)
        if on_done:
            on_done(1)
        return completion

    waiting = iter(requests)
    first = list(islice(waiting, 2))  # one alone needs no thread
    if len(first) < 2 or concurrency == 1:
        return [one(request) for request in chain(first, waiting)]
    with ThreadPoolExecutor(concurrency) as pool:
        return list(pool.map(one, chain(first, waiting)))
