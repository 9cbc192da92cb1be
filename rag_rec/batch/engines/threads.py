"""One thread for each user in flight: for models behind a network, and for the embedded one."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from queue import Empty, SimpleQueue

from rag_rec.batch.engines.base import BatchPipeline, UserState
from rag_rec.batch.store.record import Record
from rag_rec.batch.users import UserRow

_BLOCK = 64
_MOMENT_S = 0.05
_GATHER_S = 0.004
_TURN_S = 0.02


class ThreadsEngine:
    """Prepare users in blocks while others are being answered, and others written.

    Args:
        pipeline: The pipeline, with concurrency and the end of the run.
    """

    def __init__(self, pipeline: BatchPipeline) -> None:
        self._pipeline = pipeline

    def run(self, users: Iterable[UserRow]) -> Iterator[Sequence[Record]]:
        """See `BatchEngine.run`."""
        waiting = iter(users)
        if self._pipeline.recommender.model is None:
            yield from self._without_model(waiting)
            return
        flight = _Flight(self._pipeline)
        try:
            with settled(), ThreadPoolExecutor(1, "rag-rec-prepare") as ahead:
                yield from self._all_begun(waiting, flight, ahead)
            while flight.size:
                if self._ending(flight):
                    flight.cancel()
                yield flight.landed()
        finally:
            flight.close()
        flight.check()

    def _all_begun(
        self, waiting: Iterator[UserRow], flight: _Flight, ahead: ThreadPoolExecutor
    ) -> Iterator[Sequence[Record]]:
        """Start all users, one block prepared ahead; yield the records that land meanwhile."""
        full = self._pipeline.concurrency + _BLOCK
        block = list(islice(waiting, _BLOCK))
        prepared = ahead.submit(self._pipeline.begin, block)
        while block and not self._ending(flight):
            if flight.size > full or not prepared.done():
                yield flight.landed()
                continue
            ready, failures = prepared.result()
            block = list(islice(waiting, _BLOCK))
            prepared = ahead.submit(self._pipeline.begin, block)
            flight.start(ready)
            yield failures

    def _ending(self, flight: _Flight) -> bool:
        return flight.error is not None or self._pipeline.stopping()

    def _without_model(self, users: Iterator[UserRow]) -> Iterator[Sequence[Record]]:
        while not self._pipeline.stopping() and (block := list(islice(users, _BLOCK))):
            ready, failures = self._pipeline.begin(block)
            yield [*failures, *self._pipeline.complete(ready)]


class _Flight:
    """Users being answered.

    Users that are asked about, and those answered and not yet written, are together at most the
    concurrency: so many, and no more, are paid for again when the process is killed.
    """

    def __init__(self, pipeline: BatchPipeline) -> None:
        self._pipeline = pipeline
        self._concurrency = pipeline.concurrency
        self._slots = threading.Semaphore(self._concurrency)
        self._unwritten = 0
        self._pool = ThreadPoolExecutor(self._concurrency, "rag-rec-batch")
        self._begun: set[Future[list[Record]]] = set()
        self._done: SimpleQueue[Future[list[Record]]] = SimpleQueue()
        self.error: BaseException | None = None

    @property
    def size(self) -> int:
        return len(self._begun)

    def start(self, ready: Sequence[UserState]) -> None:
        for one in ready:
            future = self._pool.submit(self._finish, one)
            self._begun.add(future)
            future.add_done_callback(self._done.put)

    def landed(self) -> list[Record]:
        """Return the records of users answered within a moment, to be written together.

        The caller must have written them by the next call.
        """
        self._written()
        futures: list[Future[list[Record]]] = []
        with suppress(Empty):
            futures.append(self._done.get(timeout=_MOMENT_S))
            time.sleep(_GATHER_S)
            while len(futures) < self._concurrency:
                futures.append(self._done.get_nowait())
        return [record for future in futures for record in self._result(future)]

    def cancel(self) -> None:
        """Take back the users that no thread has begun."""
        for future in list(self._begun):
            future.cancel()

    def close(self) -> None:
        self._slots.release(self._concurrency)  # nobody waits for the writer now
        self._pool.shutdown(wait=True, cancel_futures=True)

    def check(self) -> None:
        """Raise the first error of a thread, once all others have landed."""
        if self.error is not None:
            raise self.error

    def _finish(self, one: UserState) -> list[Record]:
        self._slots.acquire()
        return self._pipeline.complete([one])

    def _written(self) -> None:
        if self._unwritten:
            self._slots.release(self._unwritten)
            self._unwritten = 0

    def _result(self, future: Future[list[Record]]) -> list[Record]:
        self._begun.discard(future)
        if future.cancelled():
            return []
        self._unwritten += 1
        if (error := future.exception()) is not None:
            self.error = self.error or error
            return []
        return future.result()


@contextmanager
def settled() -> Generator[None]:
    """Give threads longer turns, and keep older objects out of garbage collection, for a while.

    With dozens of threads that wake at any moment, Python's 5 ms turns cost a tenth of the
    throughput in hand-overs. The index and the imported packages outlive the run; the collector
    would visit all of their objects every few hundred users. Both are put back afterwards.
    """
    turn, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    sys.setswitchinterval(max(turn, _TURN_S))
    gc.freeze()
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        if not frozen:  # else the caller has frozen objects that are to stay so
            gc.unfreeze()
