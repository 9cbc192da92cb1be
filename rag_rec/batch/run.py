"""A user file in, a complete output file out.

`run` read from top to bottom is: open the model and the job, read the users that are not finished,
let an engine make records, write them, report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from rag_rec.batch.engines.base import BatchEngine, BatchPipeline, open_recommender
from rag_rec.batch.engines.chunks import ChunksEngine
from rag_rec.batch.engines.ray import RayEngine
from rag_rec.batch.engines.threads import ThreadsEngine
from rag_rec.batch.limits import RunLimiter
from rag_rec.batch.progress import Progress, Rates, Status
from rag_rec.batch.store.finished import pending_rows
from rag_rec.batch.store.job import BatchJob, Totals
from rag_rec.batch.store.record import TRANSPORT_KINDS, Record
from rag_rec.batch.users import UserRow, read_users
from rag_rec.core import ConfigError, Model, Settings, Usage
from rag_rec.data import count_rows
from rag_rec.index import Embedder
from rag_rec.llm import ChatModel, NamedModel
from rag_rec.recommender import Recommender

_AT_ONCE = {"local": 32, "crossencoder": 64}
"""Users a call, of models inside this process that answer several requests together."""

EngineName = Literal["threads", "vllm", "ray"]
End = Literal["complete", "stopped", "interrupted"]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Options of a run; of these, only ``list_type``, ``k`` and ``new_items`` change a list.

    Attributes:
        list_type: Type of the lists, a name of `rag_rec.list_types.LIST_TYPES`.
        k: Length of the lists (of a row, for slates) where a row names none; that of the settings
            (plain lists) or of the type if None.
        new_items: Share of new items where a row's constraints name none.
        engine: ``threads``: requests one by one, many at a time. ``vllm``: an engine in this
            process, whole chunks at once. ``ray``: Ray Data, one index an actor.
        actors: Actors of Ray; 0 for one a CPU, less one that is left for reading.
        columns: Our column of the user file to the file's own.
        mix_runs: Go on in an output that was made by another run.
        retry_failed: Try again the users in the failures file.
        embedder: The embedder the index was built with; by default loaded by name.
        progress: Display of the run; none by default.
        on_limiter: Called with the limiter when the run begins, so that the caller can end it.
    """

    list_type: str = "topk"
    k: int | None = None
    new_items: float = 0
    engine: EngineName = "threads"
    actors: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    mix_runs: bool = False
    retry_failed: bool = False
    embedder: Embedder | None = None
    progress: Progress = field(default_factory=Progress)
    on_limiter: Callable[[RunLimiter], None] = lambda _: None


class Summary(Model):
    """The end of a run.

    Attributes:
        end: ``complete``: every row is in one of the two files. ``stopped``: at a limit, or
            because the model's provider did not go on; run again to continue. ``interrupted``.
        reason: The reason of an early end, or None.
        totals: Counts and usage over all runs of the job.
        cost: Price of the usage, where prices are known.
        currency: Currency of the price.
        output: Path of the output.
        failures: Path of the failures file.
        run_id: Hash of everything that can change the output.
    """

    end: End
    reason: str | None
    totals: Totals
    cost: float | None
    currency: str | None
    output: Path
    failures: Path
    run_id: str

    @property
    def exit_code(self) -> int:
        """0 complete, 3 complete with failures, 4 stopped early, 130 interrupted."""
        if self.end == "complete":
            return 3 if self.totals.failed else 0
        return 4 if self.end == "stopped" else 130


def run(
    index: str | Path,
    users: str | Path,
    out: str | Path,
    *,
    llm: str | ChatModel | None = None,
    settings: Settings | None = None,
    options: BatchOptions | None = None,
) -> Summary:
    """Recommend for every user of a file; the same call again goes on where it stopped.

    Args:
        index: The index.
        users: CSV, JSON lines or Parquet with a ``user_id``, and if wanted ``custom_id``,
            ``history``, ``profile``, ``constraints``, ``k``.
        out: The output, JSON lines; failures and manifest are put beside it.
        llm: A model or its spec; the settings' when None.
        settings: Settings that can change a list, and limits.
        options: Options that cannot.

    Raises:
        ConfigError, DataError, IndexNotFound, StaleIndex, PromptError: If it cannot be begun.
        StorageError: If a file cannot be written; records written before stay.
    """
    options = options or BatchOptions()
    settings = settings or Settings()
    limiter = RunLimiter(settings)
    with _opened(index, settings, limiter, llm, options) as recommender:
        pipeline = BatchPipeline(
            recommender,
            list_type=options.list_type,
            k=options.k,
            new_items=options.new_items,
            stopping=lambda: limiter.stop is not None,
        )
        job = BatchJob(
            Path(out),
            Path(users),
            pipeline.fingerprint,
            mix_runs=options.mix_runs,
            retry_failed=options.retry_failed,
        )
        with job:
            limiter.add_usage(job.totals.usage)
            options.on_limiter(limiter)
            engine = _engine(pipeline, limiter, options, Path(index), job.output)
            watch = _Watch(job, limiter, options.progress)
            for records in chain(engine.run(_waiting(job, options)), [()]):
                if records:
                    job.append(records)
                watch.update(records)
            watch.update((), last=True)
            return _closed(job, limiter)


def _engine(
    pipeline: BatchPipeline, limiter: RunLimiter, options: BatchOptions, index: Path, output: Path
) -> BatchEngine:
    if options.engine == "ray":
        return RayEngine(pipeline, limiter, index, output, options.actors)
    if options.engine == "vllm":
        return ChunksEngine(pipeline)
    if at_once := _AT_ONCE.get(pipeline.recommender.settings.llm.partition(":")[0]):
        return ChunksEngine(pipeline, chunk_users=at_once)
    return ThreadsEngine(pipeline)


def _opened(
    index: str | Path,
    settings: Settings,
    limiter: RunLimiter,
    llm: str | ChatModel | None,
    options: BatchOptions,
) -> Recommender:
    """Open the pipeline; for actors, who ask the model themselves, only its name."""
    embedder = options.embedder
    if options.engine != "ray":
        return open_recommender(index, settings, limiter, llm=llm, embedder=embedder)
    if llm is not None and not isinstance(llm, str):
        raise ConfigError("--engine ray opens models by name: give a spec, not an object")
    settings = settings.model_copy(update={"llm": llm or settings.llm})
    model = None if settings.llm == "none" else NamedModel(settings.llm)
    return Recommender.open(
        index, model or "none", settings=settings, embedder=embedder, live=False
    )


def _waiting(job: BatchJob, options: BatchOptions) -> Iterator[UserRow]:
    """Read the rows of the user file that are not finished."""

    def note(names: list[str]) -> None:
        options.progress.note(f"columns that are not used: {', '.join(names)[:200]}")

    rows = read_users(job.manifest.users, options.columns, on_ignored=note)
    return pending_rows(rows, job.finished)


class _Watch:
    """Update the progress, and end a run in which too many users in a row fail."""

    def __init__(self, job: BatchJob, limiter: RunLimiter, progress: Progress) -> None:
        self._job = job
        self._limiter = limiter
        self._progress = progress
        self._rates = Rates()
        self._failed_in_a_row = 0
        currency = limiter.prices.currency if limiter.prices else ""
        self._status = Status(total=count_rows(Path(job.manifest.users)), currency=currency)
        if job.recovered:
            progress.note(f"removed {job.recovered} bytes of a record that was not finished")
        if job.totals.done or job.totals.failed:
            progress.note(
                f"going on: {job.totals.done:,} users done and {job.totals.failed:,} failed before"
            )
        self.update(())

    def update(self, records: Sequence[Record], *, last: bool = False) -> None:
        """Count some records that are on the disk."""
        totals, status, usage = self._job.totals, self._status, self._limiter.usage
        status.done, status.failed = totals.done, totals.failed
        status.calls, status.cached = usage.calls, totals.usage.cached
        status.tokens = usage.prompt_tokens + usage.completion_tokens
        status.cost = self._limiter.cost(usage)
        status.waiting_s = self._limiter.rate.paused_s()
        self._rates.update(status)
        self._progress.update(status, last=last)
        for record in records:
            self._count_failures(record)

    def _count_failures(self, record: Record) -> None:
        if record.kind is None:
            self._failed_in_a_row = 0
        elif record.kind in TRANSPORT_KINDS:
            self._failed_in_a_row += 1
            limit = self._limiter.limits.give_up_after
            if limit and self._failed_in_a_row >= limit:
                self._limiter.end(
                    f"the last {self._failed_in_a_row} users failed, at last with: {record.reason}"
                )


def _closed(job: BatchJob, limiter: RunLimiter) -> Summary:
    """Write the manifest, with the usage that no record carries."""
    stop = limiter.stop
    end: End = "complete" if stop is None else "interrupted" if stop.interrupted else "stopped"
    missing = limiter.usage - job.totals.usage  # answers of the cache do not pass the limiter
    unrecorded = Usage.model_validate({name: max(0, value) for name, value in missing})
    job.totals = job.totals.model_copy(update={"usage": job.totals.usage + unrecorded})
    price = {
        "cost": limiter.cost(job.totals.usage),
        "currency": limiter.prices.currency if limiter.prices else None,
    }
    reason = stop.reason if stop else None
    other_usage = job.manifest.other_usage + unrecorded
    changes = tuple(dict.fromkeys((*job.manifest.changes, *limiter.changes)))
    job.save(end, stopped_by=reason, other_usage=other_usage, changes=changes, **price)
    return Summary.model_validate(
        {
            "end": end,
            "reason": reason,
            "totals": job.totals,
            "output": job.output,
            "failures": job.failures,
            "run_id": job.manifest.identity.run_id,
            **price,
        }
    )
