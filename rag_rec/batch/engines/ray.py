"""Ray Data over the users: one index and one model an actor, on a laptop or on a cluster.

Pending users are staged as Parquet beside the output, which must therefore be on storage that the
actors share; so must the index. The driver alone writes records.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from rag_rec.batch.engines.base import BatchPipeline, open_recommender
from rag_rec.batch.engines.threads import ThreadsEngine
from rag_rec.batch.limits import RunLimiter
from rag_rec.batch.store.record import Record
from rag_rec.batch.users import UserRow
from rag_rec.core import Settings, begin_ray, import_ray

_STAGED_ROWS = 2_000
_USER: TypeAdapter[UserRow] = TypeAdapter(UserRow)


class RayEngine:
    """Make records in actors; each has an equal share of the limits.

    Requests in flight at an interrupt are lost, unless the reply cache holds their answers.

    Args:
        pipeline: The pipeline that the actors open again.
        limiter: Counts the usage of the actors; ends the run.
        index: The index.
        output: The output, beside which users are staged.
        actors: Number of actors; 0 for one a CPU, less one that is left for reading.

    Raises:
        ConfigError: If Ray is missing.
    """

    def __init__(
        self, pipeline: BatchPipeline, limiter: RunLimiter, index: Path, output: Path, actors: int
    ) -> None:
        self._ray = import_ray()
        self._pipeline = pipeline
        self._limiter = limiter
        self._index = index
        self._actors = actors
        self._folder = output.with_name(f".{output.name}.users")

    def run(self, users: Iterable[UserRow]) -> Iterator[Sequence[Record]]:
        """See `BatchEngine.run`."""
        shutil.rmtree(self._folder, ignore_errors=True)  # of a run that was killed
        self._folder.mkdir()
        try:
            if _stage(users, self._folder):
                yield from self._records()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _records(self) -> Iterator[list[Record]]:
        cpus = begin_ray(self._ray)
        n = self._actors or max(1, cpus - 1)
        settings = _share(self._pipeline.recommender.settings, self._limiter, n)
        made_with = self._pipeline.fingerprint
        lists = (made_with.type, made_with.k, made_with.new_items)
        made = self._ray.data.read_parquet(str(self._folder)).map_batches(
            _RayActor,
            fn_constructor_args=(self._index, settings.model_dump_json(), *lists),
            batch_size=4 * settings.request.concurrency,
            batch_format="numpy",
            compute=self._ray.data.ActorPoolStrategy(size=n),
            num_cpus=1,
        )
        for batch in made.iter_batches(batch_size=None, batch_format="numpy"):
            records = [Record.of(str(line)) for line in batch["record"] if line]
            for record in records:
                self._limiter.add_usage(record.usage)
            for reason in {str(text) for text in batch["stop"] if text}:
                self._limiter.end(reason)
            yield records
            if self._limiter.stop:
                return


class _RayActor:
    """The pipeline in a process of Ray."""

    def __init__(
        self, index: Path, settings: str, list_type: str, k: int | None, new_items: float
    ) -> None:
        parsed = Settings.model_validate_json(settings)
        self._limiter = limiter = RunLimiter(parsed)
        recommender = open_recommender(index, parsed, limiter)
        self._engine = ThreadsEngine(
            BatchPipeline(
                recommender,
                list_type=list_type,
                k=k,
                new_items=new_items,
                stopping=lambda: limiter.stop is not None,
            )
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Return the records of some users, as JSON, and the reason if the actor stops."""
        users = [_USER.validate_json(text) for text in batch["user"]]
        made = [record for part in self._engine.run(users) for record in part]
        stop = self._limiter.stop.reason if self._limiter.stop else ""
        rows = [record.line for record in made] or [""]
        return {"record": rows, "stop": [stop] * len(rows)}


def _stage(users: Iterable[UserRow], folder: Path) -> int:
    """Write users as Parquet, some thousand a file; return their number."""
    waiting, n = iter(users), 0
    while part := list(islice(waiting, _STAGED_ROWS)):
        rows = [_USER.dump_json(user).decode() for user in part]
        pl.DataFrame({"user": rows}).write_parquet(folder / f"{n:09d}.parquet")
        n += len(part)
    return n


def _share(settings: Settings, limiter: RunLimiter, n: int) -> Settings:
    """Return the settings of one of n actors: the rest of each limit, divided."""
    limits, spent = settings.batch, limiter.usage
    left: dict[str, Any] = {
        "requests_per_minute": limits.requests_per_minute / n,
        "tokens_per_minute": limits.tokens_per_minute / n,
    }
    if limits.max_requests is not None:
        left["max_requests"] = max(0, limits.max_requests - spent.calls) // n
    if limits.max_cost is not None:
        left["max_cost"] = max(0.0, limits.max_cost - (limiter.cost(spent) or 0.0)) / n
    return settings.model_copy(update={"batch": limits.model_copy(update=left)})
