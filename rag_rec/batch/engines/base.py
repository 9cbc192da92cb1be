"""The protocol of engines, and the part that all of them share: from users to records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Protocol

from rag_rec.batch.store.record import FailureKind, FailureRecord, Record, record_of
from rag_rec.batch.users import BadUser, BatchUser
from rag_rec.core import (
    BudgetTooSmall,
    DataError,
    ModelError,
    QuotaExhausted,
    RateLimited,
    RecommendationList,
    RunStopped,
    Settings,
    UserHistory,
)
from rag_rec.index import Embedder
from rag_rec.llm import Admission, AdmittedModel, CachedModel, ChatModel, Deadline, open_from
from rag_rec.pipeline import RecommendationState as Job
from rag_rec.recommender import Recommender


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """EngineLimits of an engine.

    Attributes:
        concurrency: Requests in flight at most.
        user_deadline_s: Seconds all requests of one user may take together; 0 for no limit.
        stopping: Returns True when the run is ending: nothing new is begun then.
    """

    concurrency: int = 16
    user_deadline_s: float = 0.0
    stopping: Callable[[], bool] = lambda: False


class BatchEngine(Protocol):
    """Make records of users."""

    def run(self, users: Iterable[BatchUser | BadUser]) -> Iterator[Sequence[Record]]:
        """Yield records, some at a time, in any order; a bad row becomes a failure.

        Users are taken as they are needed. When the run is stopping, what was begun is finished;
        users without a record are left for the next run.
        """
        ...


@dataclass(slots=True)
class Ready:
    """A user and the prepared job."""

    user: BatchUser
    job: Job
    k: int


def prepare(
    recommender: Recommender, users: Sequence[BatchUser | BadUser], limits: EngineLimits
) -> tuple[list[Ready], list[Record]]:
    """Return the prepared jobs of some users, in their order, and the failures of the others."""
    failures: list[Record] = []
    known: list[tuple[BatchUser, UserHistory]] = []
    for user in users:
        try:
            if isinstance(user, BatchUser):
                known.append((user, history_of(recommender, user)))
            else:
                failures.append(failure(recommender, user, user.kind, user.reason))
        except DataError as error:
            kind = "unknown_item" if error.field == "item_id" else "unknown_user"
            failures.append(failure(recommender, user, kind, str(error)))
    ready: list[Ready] = []
    for k, group in groupby(known, lambda pair: pair[0].k or recommender.settings.k):
        for part in _prepared(recommender, list(group), k):
            if isinstance(part, Ready):
                ready.append(_with_deadline(part, limits))
            else:
                failures.append(part)
    return ready, failures


def finish(recommender: Recommender, ready: Ready, limits: EngineLimits) -> Record | None:
    """Ask the model about one user; return None if the run stopped before the end of it."""
    (result,) = recommender.finish([ready.job], ready.k)
    return closed(ready, result, limits)


def closed(ready: Ready, result: RecommendationList, limits: EngineLimits) -> Record | None:
    """Return the record of a finished job; None if the run stopped before it was answered."""
    failure = ready.job.failure
    if isinstance(failure, RunStopped | QuotaExhausted):
        return None
    if isinstance(failure, RateLimited) and limits.stopping():
        return None
    error = failure if isinstance(failure, ModelError) else None
    return record_of(ready.user.custom_id, ready.user.row, result, error)


def history_of(recommender: Recommender, user: BatchUser) -> UserHistory:
    """Return the history of a user: that of the file, or that of the log.

    Raises:
        DataError: If the log does not know the user and the file says nothing more, or an item
            is unknown; ``field`` says which.
    """
    if user.history is not None:
        history = UserHistory(user_id=user.user_id, events=user.history)
    elif user.user_id is not None and (
        user.profile is None or recommender.index.has_user(user.user_id)
    ):
        history = recommender.index.history(user.user_id)
    elif user.profile is not None:
        history = UserHistory(user_id=user.user_id)
    else:
        raise DataError("no user_id, history or profile to go by", field="user_id")
    given = {"profile": user.profile, "constraints": user.constraints}
    if more := {name: value for name, value in given.items() if value is not None}:
        history = history.model_copy(update=more)
    return recommender.history_of(history)


def failure(
    recommender: Recommender, user: BatchUser | BadUser, kind: FailureKind, reason: str
) -> FailureRecord:
    """Return the record of a row for which nothing was asked."""
    known = isinstance(user, BatchUser)
    return FailureRecord(
        row=user.row,
        custom_id=user.custom_id if known else None,
        user_id=user.user_id if known else None,
        kind=kind,
        reason=reason,
        run_id=recommender.run_id,
    )


def _prepared(
    recommender: Recommender, users: list[tuple[BatchUser, UserHistory]], k: int
) -> Iterator[Ready | FailureRecord]:
    """Prepare jobs; if some do not fit, each half by itself, down to the user at fault."""
    try:
        jobs = recommender.prepare([history for _, history in users], k)
    except BudgetTooSmall as error:
        if half := len(users) // 2:
            yield from _prepared(recommender, users[:half], k)
            yield from _prepared(recommender, users[half:], k)
        else:
            yield failure(recommender, users[0][0], "prompt_too_long", str(error))
        return
    for (user, _), job in zip(users, jobs, strict=True):
        yield Ready(user, job, k)


def _with_deadline(ready: Ready, limits: EngineLimits) -> Ready:
    if limits.user_deadline_s and ready.job.call is not None:
        deadline = Deadline(limits.user_deadline_s)
        ready.job.call = replace(ready.job.call, deadline=deadline)
    return ready


def open_recommender(
    index: str | Path,
    settings: Settings,
    admission: Admission,
    *,
    llm: str | ChatModel | None = None,
    embedder: Embedder | None = None,
) -> Recommender:
    """Open the pipeline of a batch: cache, then admission, then model.

    A model object is not closed with the pipeline; that is left to its owner.
    """
    if isinstance(llm, str):
        settings = settings.model_copy(update={"llm": llm})
    if llm is None or isinstance(llm, str):
        model = open_from(settings, admission)
    else:
        settings = settings.model_copy(update={"llm": llm.name})
        model = AdmittedModel(llm, admission, owned=False)
    if model is not None and settings.batch.cache:
        model = CachedModel(model, settings.batch.cache, parameters=settings.parameters)
    return Recommender.open(index, model or "none", settings=settings, embedder=embedder)
