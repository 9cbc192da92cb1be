"""Ray Data over the users: one index and one model an actor, on a laptop or on a cluster.

Pending users are staged as Parquet beside the output, which must therefore be on storage that the
actors share; so must the index. The driver alone writes records.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from rag_rec.batch.engines.base import BatchPipeline, EngineLimits, open_recommender
from rag_rec.batch.engines.threads import ThreadsEngine
from rag_rec.batch.limits import RunLimiter
from rag_rec.batch.store.record import Record, RemoteRecord
from rag_rec.batch.users import UserRow
from rag_rec.core import ConfigError, Settings

_STAGED_ROWS = 2_000
_USER: TypeAdapter[UserRow] = TypeAdapter(UserRow)


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Places and options that actors and driver share.

    Attributes:
        index: The index.
        scratch: Folder for staged users.
        actors: Number of actors; 0 for one a CPU, less one that is left for reading.
        list_type: Type of the lists.
        k: Their length where a row names none; None for the default.
    """

    index: Path
    scratch: Path
    actors: int = 0
    list_type: str = "topk"
    k: int | None = None


class RayEngine:
    """Make records in actors; each has an equal share of the limits.

    Requests in flight at an interrupt are lost, unless the reply cache holds their answers.

    Args:
        settings: The settings of the run.
        limiter: Counts the usage of the actors; ends the run.
        options: Places and options that actors and driver share.

    Raises:
        ConfigError: If Ray is missing.
    """

    def __init__(self, settings: Settings, limiter: RunLimiter, options: RayOptions) -> None:
        self._ray = _import()
        self._settings = settings
        self._limiter = limiter
        self._options = options

    def run(self, users: Iterable[UserRow]) -> Iterator[Sequence[Record]]:
        """See `BatchEngine.run`."""
        with tempfile.TemporaryDirectory(dir=self._options.scratch, prefix=".ray-users-") as folder:
            if _stage(users, Path(folder)):
                yield from self._records(folder)

    def _records(self, folder: str) -> Iterator[list[Record]]:
        _begin(self._ray)
        n = self._options.actors or max(1, int(self._ray.cluster_resources()["CPU"]) - 1)
        settings = _share(self._settings, self._limiter, n)
        users = self._ray.data.read_parquet(folder)
        made = users.map_batches(
            _RayActor,
            fn_constructor_args=(self._options, settings.model_dump_json()),
            batch_size=4 * settings.request.concurrency,
            batch_format="numpy",
            compute=self._ray.data.ActorPoolStrategy(size=n),
            num_cpus=1,
        )
        for batch in made.iter_batches(batch_size=None, batch_format="numpy"):
            records: list[Record] = [RemoteRecord.of(str(text)) for text in batch["record"] if text]
            for record in records:
                self._limiter.add_usage(record.usage)
            for reason in {str(text) for text in batch["stop"] if text}:
                self._limiter.end(reason)
            yield records
            if self._limiter.stop:
                return


class _RayActor:
    """The pipeline in a process of Ray."""

    def __init__(self, options: RayOptions, settings: str) -> None:
        parsed = Settings.model_validate_json(settings)
        self._limiter = RunLimiter(parsed)
        pipeline = BatchPipeline(
            open_recommender(options.index, parsed, self._limiter),
            list_type=options.list_type,
            k=options.k,
            limits=EngineLimits(
                parsed.request.concurrency,
                parsed.batch.user_deadline_s,
                lambda: self._limiter.stop is not None,
            ),
        )
        self._engine = ThreadsEngine(pipeline)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Return the records of some users, as JSON, and the reason if the actor stops."""
        users = [_USER.validate_json(text) for text in batch["user"]]
        made = [record for part in self._engine.run(users) for record in part]
        stop = self._limiter.stop.reason if self._limiter.stop else ""
        rows = [record.model_dump_json() for record in made] or [""]
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


def _import() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data  # pyright: ignore[reportUnusedImport] - a part of ray that is not there by itself
    except ImportError as error:
        raise ConfigError(
            f"--engine ray needs a package ({error}); install it with: pip install 'rag-rec[ray]'"
        ) from error
    return ray


def _begin(ray: Any) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine."""
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
