"""Whole chunks in one call: for a model inside this process that batches by itself (vLLM)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice

from rag_rec.batch.engines.base import EngineLimits, Ready, closed, prepare
from rag_rec.batch.store.record import Record
from rag_rec.batch.users import BadUser, BatchUser
from rag_rec.recommender import Recommender

CHUNK_USERS = 1_024


class ChunksEngine:
    """Prepare the next chunk while the model is busy with one.

    Prompts of a chunk are sent in the order of their text, so that those that begin alike follow
    each other and the model's prefix cache still holds what they share.

    Args:
        recommender: The pipeline.
        limits: The end of the run; concurrency and deadlines are left to the model.
        chunk_users: Users a chunk.
        ordered: False to send the prompts in the order of the file.
    """

    def __init__(
        self,
        recommender: Recommender,
        limits: EngineLimits,
        *,
        chunk_users: int = CHUNK_USERS,
        ordered: bool = True,
    ) -> None:
        self._recommender = recommender
        self._limits = limits
        self._chunk_users = chunk_users
        self._ordered = ordered

    def run(self, users: Iterable[BatchUser | BadUser]) -> Iterator[Sequence[Record]]:
        """See `BatchEngine.run`."""
        waiting = iter(users)
        with ThreadPoolExecutor(1, "rag-rec-prepare") as pool:

            def following() -> list[BatchUser | BadUser]:
                return [] if self._limits.stopping() else list(islice(waiting, self._chunk_users))

            chunk = following()
            begun = pool.submit(prepare, self._recommender, chunk, self._limits)
            while chunk:
                ready, failures = begun.result()
                chunk = following()
                begun = pool.submit(prepare, self._recommender, chunk, self._limits)
                yield failures
                if not self._limits.stopping():
                    yield from self._answered(ready)

    def _answered(self, ready: list[Ready]) -> Iterator[list[Record]]:
        if self._ordered:
            ready = sorted(ready, key=lambda one: (one.k, _prompt(one)))
        for k, group in groupby(ready, lambda one: one.k):
            part = list(group)
            results = self._recommender.finish([one.job for one in part], k)
            pairs = zip(part, results, strict=True)
            made = [closed(one, result, self._limits) for one, result in pairs]
            yield [record for record in made if record is not None]


def _prompt(one: Ready) -> tuple[str, ...]:
    request = one.job.call
    return () if request is None else tuple(message.content for message in request.messages)
