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

from rag_rec.batch.engines.base import Limits
from rag_rec.batch.engines.threads import ThreadsEngine
from rag_rec.batch.limits import Control
from rag_rec.batch.opening import open_recommender
from rag_rec.batch.store.record import MadeElsewhere, Record
from rag_rec.batch.users import BatchUser
from rag_rec.core import ConfigError, Settings

_STAGED_ROWS = 2_000
_USER = TypeAdapter(BatchUser)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a Ray engine works.

    Attributes:
        index: The index.
        scratch: Folder for staged users.
        actors: Number of actors; 0 for one a CPU, but for one that is left for reading.
    """

    index: Path
    scratch: Path
    actors: int = 0


class RayEngine:
    """Makes records in actors; each has an equal share of the limits.

    What is in flight at an interrupt is lost, but for what the reply cache holds.

    Args:
        settings: What can change a list, and limits.
        control: Told of what the actors have spent; ends the run.
        place: Where it works.

    Raises:
        ConfigError: If Ray is missing.
    """

    def __init__(self, settings: Settings, control: Control, place: Place) -> None:
        self._ray = _import()
        self._settings = settings
        self._control = control
        self._place = place

    def run(self, users: Iterable[BatchUser]) -> Iterator[Sequence[Record]]:
        """See `Engine.run`."""
        with tempfile.TemporaryDirectory(dir=self._place.scratch, prefix=".ray-users-") as folder:
            if _stage(users, Path(folder)):
                yield from self._records(folder)

    def _records(self, folder: str) -> Iterator[list[Record]]:
        _begin(self._ray)
        n = self._place.actors or max(1, int(self._ray.cluster_resources()["CPU"]) - 1)
        settings = _share(self._settings, self._control, n)
        users = self._ray.data.read_parquet(folder)
        made = users.map_batches(
            _Actor,
            fn_constructor_args=(str(self._place.index), settings.model_dump_json()),
            batch_size=4 * settings.request.concurrency,
            batch_format="numpy",
            compute=self._ray.data.ActorPoolStrategy(size=n),
            num_cpus=1,
        )
        for batch in made.iter_batches(batch_size=None, batch_format="numpy"):
            records: list[Record] = [
                MadeElsewhere.of(str(text)) for text in batch["record"] if text
            ]
            for record in records:
                self._control.spent(record.usage)
            for reason in {str(text) for text in batch["stop"] if text}:
                self._control.end(reason)
            yield records
            if self._control.stop:
                return


class _Actor:
    """The pipeline in a process of Ray's."""

    def __init__(self, index: str, settings: str) -> None:
        parsed = Settings.model_validate_json(settings)
        self._control = Control(parsed)
        self._recommender = open_recommender(index, parsed, self._control)
        limits = Limits(
            parsed.request.concurrency,
            parsed.batch.user_deadline_s,
            lambda: self._control.stop is not None,
        )
        self._engine = ThreadsEngine(self._recommender, limits)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Records of some users, as JSON, and why the actor stops, if it does."""
        users = [_USER.validate_json(text) for text in batch["user"]]
        made = [record for part in self._engine.run(users) for record in part]
        stop = self._control.stop.reason if self._control.stop else ""
        rows = [record.model_dump_json() for record in made] or [""]
        return {"record": rows, "stop": [stop] * len(rows)}


def _stage(users: Iterable[BatchUser], folder: Path) -> int:
    """Writes users as Parquet, some thousand a file; how many there are."""
    waiting, n = iter(users), 0
    while part := list(islice(waiting, _STAGED_ROWS)):
        rows = [_USER.dump_json(user).decode() for user in part]
        pl.DataFrame({"user": rows}).write_parquet(folder / f"{n:09d}.parquet")
        n += len(part)
    return n


def _share(settings: Settings, control: Control, n: int) -> Settings:
    """The settings of one of n actors: what is left of each limit, divided."""
    limits, spent = settings.batch, control.usage
    left: dict[str, Any] = {
        "requests_per_minute": limits.requests_per_minute / n,
        "tokens_per_minute": limits.tokens_per_minute / n,
    }
    if limits.max_requests is not None:
        left["max_requests"] = max(0, limits.max_requests - spent.calls) // n
    if limits.max_cost is not None:
        left["max_cost"] = max(0.0, limits.max_cost - (control.cost(spent) or 0.0)) / n
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
    """Joins the cluster that RAY_ADDRESS names, or starts one on this machine."""
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
