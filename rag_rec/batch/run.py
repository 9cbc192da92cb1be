"""A user file in, a complete output file out.

`run` read from top to bottom is: open the model and the job, read the users that are not finished,
let an engine make records, write them, say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from rag_rec.batch.engines import ChunksEngine, Engine, Limits, Place, RayEngine, ThreadsEngine
from rag_rec.batch.limits import Control
from rag_rec.batch.opening import open_recommender
from rag_rec.batch.progress import Progress, Rates, Silent, Status
from rag_rec.batch.store.fingerprint import Identity
from rag_rec.batch.store.job import Job, Totals
from rag_rec.batch.store.pending import pending_rows
from rag_rec.batch.store.record import TRANSPORT_KINDS, BatchRecord, FailureRecord, Record
from rag_rec.batch.users import BadUser, BatchUser, read_users
from rag_rec.core import ConfigError, Settings, Usage
from rag_rec.data import count_rows
from rag_rec.index import Embedder
from rag_rec.llm import ChatModel, NamedModel
from rag_rec.recommender import Recommender

EngineName = Literal["threads", "vllm", "ray"]
_BAD_ROWS_HELD = 256
End = Literal["complete", "stopped", "interrupted"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a run goes about it; none of it can change a list.

    Attributes:
        engine: ``threads``: requests one by one, many at a time. ``vllm``: an engine in this
            process, whole chunks at once. ``ray``: Ray Data, one index an actor.
        actors: Actors of Ray; 0 for one a CPU, but for one that is left for reading.
        columns: Our column of the user file to the file's own.
        mix_runs: Go on in an output that was made with something else.
        retry_failed: Try again the users in the failures file.
        embedder: The embedder the index was built with; by default loaded by name.
        progress: Shows the run; nothing by default.
        on_control: Given the run's control once it is there, so that a caller can end the run.
    """

    engine: EngineName = "threads"
    actors: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    mix_runs: bool = False
    retry_failed: bool = False
    embedder: Embedder | None = None
    progress: Progress = field(default_factory=Silent)
    on_control: Callable[[Control], None] = lambda _: None


class Summary(BaseModel):
    """How a run ended.

    Attributes:
        end: ``complete``: every row is in one of the two files. ``stopped``: at a limit, or
            because the model's provider did not go on; run again to continue. ``interrupted``.
        reason: Why it ended early, or None.
        totals: Counts and usage over all runs of the job.
        cost: Price of the usage, where prices are known.
        currency: What the price is in.
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
    options: Options | None = None,
) -> Summary:
    """Recommends for every user of a file; run again, it goes on where it stopped.

    Args:
        index: The index.
        users: CSV, JSON lines or Parquet with a ``user_id``, and if wanted ``custom_id``,
            ``history``, ``profile``, ``constraints``, ``k``.
        out: The output, JSON lines; failures and manifest are put beside it.
        llm: A model or its spec; the settings' when None.
        settings: What can change a list, and limits.
        options: How to go about it.

    Raises:
        ConfigError, DataError, IndexNotFound, StaleIndex, PromptError: What cannot be begun.
        StorageError: If a file cannot be written; what was written before stays.
    """
    options = options or Options()
    settings = settings or Settings()
    control = Control(settings)
    with _opened(index, settings, control, llm=llm, options=options) as recommender:
        job = Job.open(
            Path(out),
            Path(users),
            Identity.of(recommender),
            mix_runs=options.mix_runs,
            retry_failed=options.retry_failed,
        )
        with job:
            control.spent(job.totals.usage)
            options.on_control(control)
            place = Place(Path(index), job.output.parent, options.actors)
            engine = engine_for(options.engine, recommender, control, place)
            _say_where_it_starts(job, options.progress)
            _work(job, engine, control, recommender, options)
            return _close(job, control)


def engine_for(
    name: EngineName, recommender: Recommender, control: Control, place: Place
) -> Engine:
    """The engine of a name."""
    settings = recommender.settings
    if name == "ray":
        return RayEngine(settings, control, place)
    one_at_a_time = settings.llm.partition(":")[0] == "local"
    limits = Limits(
        concurrency=1 if one_at_a_time else settings.request.concurrency,
        user_deadline_s=settings.batch.user_deadline_s,
        stopping=lambda: control.stop is not None,
    )
    if name == "vllm":
        return ChunksEngine(recommender, limits)
    return ThreadsEngine(recommender, limits)


def _opened(
    index: str | Path,
    settings: Settings,
    control: Control,
    *,
    llm: str | ChatModel | None,
    options: Options,
) -> Recommender:
    """The pipeline; where actors ask the model, only its name is opened here."""
    embedder = options.embedder
    if options.engine != "ray":
        return open_recommender(index, settings, control, llm=llm, embedder=embedder)
    if llm is not None and not isinstance(llm, str):
        raise ConfigError("--engine ray opens models by name: give a spec, not an object")
    settings = settings.model_copy(update={"llm": llm or settings.llm})
    model = None if settings.llm == "none" else NamedModel(settings.llm)
    return Recommender.open(index, model or "none", settings=settings, embedder=embedder)


# --- the work -------------------------------------------------------------------------------


def _work(
    job: Job, engine: Engine, control: Control, recommender: Recommender, options: Options
) -> None:
    waiting = _Waiting(job, recommender.run_id, options)
    watch = _Watch(job, control, options.progress)
    for records in chain(engine.run(waiting.users()), [()]):
        waiting.write_bad()
        if records:
            job.append(records)
        watch.look(records)
    watch.close()


class _Waiting:
    """Users that are not finished; rows that stand for nobody are put aside on the way."""

    def __init__(self, job: Job, run_id: str, options: Options) -> None:
        self._bad: list[Record] = []
        self._job = job
        self._run_id = run_id
        self._options = options

    def users(self) -> Iterator[BatchUser]:
        """Reads the user file; ids and rows of the job that are finished are passed over."""
        path = self._job.manifest.users
        rows = read_users(path, self._options.columns, on_ignored=self._on_ignored)
        for row in pending_rows(rows, self._job.finished):
            if isinstance(row, BatchUser):
                yield row
            else:
                self._put_aside(row)

    def write_bad(self) -> None:
        """Writes what was put aside."""
        if self._bad:
            self._job.append(self._bad)
            self._bad.clear()

    def _put_aside(self, user: BadUser) -> None:
        self._bad.append(
            FailureRecord(row=user.row, kind=user.kind, reason=user.reason, run_id=self._run_id)
        )
        if len(self._bad) >= _BAD_ROWS_HELD:
            self.write_bad()

    def _on_ignored(self, names: list[str]) -> None:
        self._options.progress.note(f"columns that are not used: {', '.join(names)[:200]}")


class _Watch:
    """Tells the progress, and ends a run in which nothing succeeds any more."""

    def __init__(self, job: Job, control: Control, progress: Progress) -> None:
        self._job = job
        self._control = control
        self._progress = progress
        self._rates = Rates()
        self._in_a_row = 0
        currency = control.prices.currency if control.prices else ""
        self._status = Status(total=count_rows(Path(job.manifest.users)), currency=currency)
        self.look(())

    def look(self, records: Sequence[Record], *, last: bool = False) -> None:
        """Counts some records that are on the disk."""
        totals, status, usage = self._job.totals, self._status, self._control.usage
        status.done, status.failed = totals.done, totals.failed
        status.calls, status.cached = usage.calls, totals.usage.cached
        status.tokens = usage.prompt_tokens + usage.completion_tokens
        status.cost = self._control.cost(usage)
        status.waiting_s = self._control.pace.paused_s()
        self._rates.update(status)
        self._progress.update(status, last=last)
        for record in records:
            self._heed(record)

    def close(self) -> None:
        """The last look."""
        self.look((), last=True)

    def _heed(self, record: Record) -> None:
        if isinstance(record, BatchRecord) or record.kind is None:
            self._in_a_row = 0
        elif record.kind in TRANSPORT_KINDS:
            self._in_a_row += 1
            limit = self._control.limits.give_up_after
            if limit and self._in_a_row >= limit:
                self._control.end(
                    f"the last {self._in_a_row} users failed, at last with: {record.reason}"
                )


def _say_where_it_starts(job: Job, progress: Progress) -> None:
    if job.recovered:
        progress.note(f"removed {job.recovered} bytes of a record that was not finished")
    if job.totals.done or job.totals.failed:
        progress.note(
            f"going on: {job.totals.done:,} users done and {job.totals.failed:,} failed before"
        )


def _close(job: Job, control: Control) -> Summary:
    """Writes the manifest, with the usage that no record carries."""
    end: End = "complete"
    if control.stop:
        end = "interrupted" if control.stop.interrupted else "stopped"
    reason = control.stop.reason if control.stop else None
    unrecorded = _beyond(control.usage, job.totals.usage)
    job.totals = job.totals.model_copy(update={"usage": job.totals.usage + unrecorded})
    cost = control.cost(job.totals.usage)
    currency = control.prices.currency if control.prices else None
    job.save(
        end,
        stopped_by=reason,
        other_usage=job.manifest.other_usage + unrecorded,
        cost=cost,
        currency=currency,
    )
    return Summary(
        end=end,
        reason=reason,
        totals=job.totals,
        cost=cost,
        currency=currency,
        output=job.output,
        failures=job.failures,
        run_id=job.manifest.identity.run_id,
    )


def _beyond(spent: Usage, recorded: Usage) -> Usage:
    """What was spent on users that have no record."""
    return Usage(
        calls=max(0, spent.calls - recorded.calls),
        prompt_tokens=max(0, spent.prompt_tokens - recorded.prompt_tokens),
        completion_tokens=max(0, spent.completion_tokens - recorded.completion_tokens),
        wall_s=max(0.0, spent.wall_s - recorded.wall_s),
    )
