"""Whole chunks in one call: for a model inside this process that batches by itself (vLLM)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from rag_rec.batch.engines.base import BatchPipeline, UserState
from rag_rec.batch.store.record import Record
from rag_rec.batch.users import UserRow

CHUNK_USERS = 1_024


class ChunksEngine:
    """Prepare the next chunk while the model is busy with one.

    Prompts of a chunk are sent in the order of their text, so that those that begin alike follow
    each other and the model's prefix cache still holds what they share.

    Args:
        pipeline: The pipeline; concurrency and deadlines are left to the model.
        chunk_users: Users a chunk.
        ordered: False to send the prompts in the order of the file.
    """

    def __init__(
        self, pipeline: BatchPipeline, *, chunk_users: int = CHUNK_USERS, ordered: bool = True
    ) -> None:
        self._pipeline = pipeline
        self._chunk_users = chunk_users
        self._ordered = ordered

    def run(self, users: Iterable[UserRow]) -> Iterator[Sequence[Record]]:
        """See `BatchEngine.run`."""
        waiting, stopping = iter(users), self._pipeline.stopping
        with ThreadPoolExecutor(1, "rag-rec-prepare") as pool:

            def following() -> list[UserRow]:
                return [] if stopping() else list(islice(waiting, self._chunk_users))

            chunk = following()
            begun = pool.submit(self._pipeline.begin, chunk)
            while chunk:
                ready, failures = begun.result()
                chunk = following()
                begun = pool.submit(self._pipeline.begin, chunk)
                yield failures
                if not stopping():
                    ready = sorted(ready, key=_prompt) if self._ordered else ready
                    yield self._pipeline.complete(ready)


def _prompt(one: UserState) -> tuple[str, ...]:
    call = one.state.call
    return () if call is None else tuple(message.content for message in call.messages)
