"""What an engine is, and the part that all of them share: from users to prepared jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

from rag_rec.batch.store.record import FailureKind, FailureRecord, Record, record_of
from rag_rec.batch.users import BatchUser
from rag_rec.core import (
    BudgetTooSmall,
    DataError,
    QuotaExhausted,
    RateLimited,
    RecommendationList,
    RunStopped,
    UserHistory,
)
from rag_rec.llm import Deadline
from rag_rec.pipeline import Job
from rag_rec.recommender import Recommender


@dataclass(frozen=True, slots=True)
class Limits:
    """What an engine keeps to.

    Attributes:
        concurrency: Requests in flight at most.
        user_deadline_s: Seconds all requests of one user may take together; 0 for no limit.
        stopping: Whether the run is ending: nothing new is begun then.
    """

    concurrency: int = 16
    user_deadline_s: float = 0.0
    stopping: Callable[[], bool] = lambda: False


class Engine(Protocol):
    """Makes records of users."""

    def run(self, users: Iterable[BatchUser]) -> Iterator[Sequence[Record]]:
        """Records, some at a time, in any order.

        Users are taken as they are needed. When the run is stopping, what was begun is finished;
        users without a record are left for the next run.
        """
        ...


@dataclass(slots=True)
class Ready:
    """A user with what the pipeline has prepared."""

    user: BatchUser
    job: Job
    k: int


def prepare(
    recommender: Recommender, users: Sequence[BatchUser], limits: Limits
) -> tuple[list[Ready], list[Record]]:
    """Prepared jobs of some users, in their order, and failures of those that cannot have one."""
    failures: list[Record] = []
    known: list[tuple[BatchUser, UserHistory]] = []
    for user in users:
        try:
            known.append((user, history_of(recommender, user)))
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


def finish(recommender: Recommender, ready: Ready, limits: Limits) -> Record | None:
    """Asks the model about one user; None when the run stopped before the user was finished."""
    (result,) = recommender.finish([ready.job], ready.k)
    return closed(ready, result, limits)


def closed(ready: Ready, result: RecommendationList, limits: Limits) -> Record | None:
    """The record of a finished job; None where the run stopped before it was answered."""
    failure = ready.job.failure
    if isinstance(failure, RunStopped | QuotaExhausted):
        return None
    if isinstance(failure, RateLimited) and limits.stopping():
        return None
    return record_of(ready.user.custom_id, ready.user.row, result, ready.job.failure)


def history_of(recommender: Recommender, user: BatchUser) -> UserHistory:
    """What is known of a user: the file's history, or the log's.

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
    recommender: Recommender, user: BatchUser, kind: FailureKind, reason: str
) -> FailureRecord:
    """The record of a user for whom nothing was asked."""
    return FailureRecord(
        row=user.row,
        custom_id=user.custom_id,
        user_id=user.user_id,
        kind=kind,
        reason=reason,
        run_id=recommender.run_id,
    )


def _prepared(
    recommender: Recommender, users: list[tuple[BatchUser, UserHistory]], k: int
) -> Iterator[Ready | FailureRecord]:
    """Prepared jobs; where some do not fit, each half for itself, down to the user at fault."""
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


def _with_deadline(ready: Ready, limits: Limits) -> Ready:
    if limits.user_deadline_s and ready.job.request is not None:
        deadline = Deadline(limits.user_deadline_s)
        ready.job.request = replace(ready.job.request, deadline=deadline)
    return ready
